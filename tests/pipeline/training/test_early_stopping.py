from torch import nn

from pipeline.training.early_stopping import EarlyStopping


def test_ends_after_so_many_that_are_no_better_and_keeps_the_best() -> None:
    model = nn.Linear(1, 1)
    stopping = EarlyStopping("val/top1", patience=2, min_delta=0.05)
    ended = []
    for number, top1 in enumerate((0.5, 0.54, 0.6, 0.65, 0.6, 0.9)):
        nn.init.constant_(model.weight, number)
        stopping.update({"val/top1": top1, "val/loss": -top1}, model)
        ended.append(stopping.has_ended)
    # 0.54 is not more than 0.05 better than 0.5, nor 0.65 than 0.6; 0.9 is
    assert ended == [False, False, False, False, True, False]
    assert stopping.best == {"val/top1": 0.9, "val/loss": -0.9}
    assert stopping.weights["weight"].item() == 5


def test_goes_on_from_its_state() -> None:
    model = nn.Linear(1, 1)
    first = EarlyStopping("val/top1", 2, 0.0)
    for top1 in (0.5, 0.4):
        first.update({"val/top1": top1}, model)
    second = EarlyStopping("val/top1", 2, 0.0)
    second.load_state_dict(first.state_dict())
    second.update({"val/top1": 0.5}, model)
    assert second.has_ended
    assert second.best == {"val/top1": 0.5}


def test_the_best_is_kept_without_an_end_and_an_end_without_the_best() -> None:
    model = nn.Linear(1, 1)
    best, end = EarlyStopping("val/top1", None, 0.0), EarlyStopping("val/top1", 1, 0.0, keeps=False)
    for number, top1 in enumerate((0.5, 0.9, 0.4, 0.3)):
        nn.init.constant_(model.weight, number)
        best.update({"val/top1": top1}, model)
        end.update({"val/top1": top1}, model)
    assert (best.has_ended, best.weights["weight"].item()) == (False, 1)
    assert (end.has_ended, end.weights) == (True, {})
