import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import recipe as recipes
from pipeline.recipe import Recipe, RecipeError

Write = Callable[..., Path]


def load(path: str | Path, overrides: Sequence[str] = ()) -> Any:
    """As Any, so that the tests may ask for a key that only one kind of a choice has."""
    return recipes.load(path, overrides)


def problems(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(path, overrides)
    return str(caught.value)


def test_extends_merges_mappings_and_replaces_lists(small: dict[str, Any], write: Write) -> None:
    write(small, "base.yaml")
    path = write({"extends": "base.yaml", "name": "child", "train": {"batch_size": 4}, "augment": {"eval": ["NoOp"]}})
    recipe = load(path)
    assert recipe.name == "child"
    assert (recipe.train.batch_size, str(recipe.train.duration)) == (4, "2ep")
    assert recipe.augment.eval == [{"NoOp": {}}]
    assert recipe.augment.train == small["augment"]["train"]
    assert recipe.optimizer.momentum == 0.8


def test_another_kind_drops_the_options_of_the_old_one(small: dict[str, Any], write: Write) -> None:
    write(small, "base.yaml")
    recipe = load(write({"extends": "base.yaml", "optimizer": {"kind": "adamw", "lr": 0.01}}))
    assert (recipe.optimizer.kind, recipe.optimizer.lr, recipe.optimizer.betas) == ("adamw", 0.01, (0.9, 0.999))
    same = load(write({"extends": "base.yaml", "optimizer": {"kind": "sgd", "lr": 0.01}}))
    assert (same.optimizer.lr, same.optimizer.momentum) == (0.01, 0.8)


def test_extends_may_be_a_chain_over_folders(small: dict[str, Any], write: Write, tmp_path: Path) -> None:
    write(small | {"store": "results"}, "deep/base.yaml")
    write({"extends": "deep/base.yaml", "seed": 1}, "middle.yaml")
    recipe = load(write({"extends": "middle.yaml", "name": "last"}))
    assert (recipe.seed, recipe.name) == (1, "last")
    assert recipe.store == str(tmp_path / "deep" / "results")
    assert recipe.data.source.path == str(tmp_path / "deep" / "photos")


def test_extends_in_a_circle(write: Write) -> None:
    write({"extends": "b.yaml"}, "a.yaml")
    assert "extends itself: a.yaml -> b.yaml -> a.yaml" in problems(
        write({"extends": "a.yaml"}, "b.yaml").parent / "a.yaml"
    )


def test_extends_names_no_file(write: Write, tmp_path: Path) -> None:
    path = write({"extends": "qickstart.yaml"})
    write({}, "quickstart.yaml")
    assert problems(path) == (
        f"{tmp_path}/qickstart.yaml: there is no such file (`extends` of r.yaml); "
        f"did you mean {tmp_path}/quickstart.yaml?"
    )
    assert "extends: write the name of one file, not ['a']" in problems(write({"extends": ["a"]}))


def test_paths_of_a_file_are_relative_to_it_and_of_an_override_to_here(
    small: dict[str, Any], write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(small | {"store": "../runs"}, "recipes/r.yaml")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    recipe = load("../recipes/r.yaml")
    assert recipe.store == str(tmp_path / "runs")
    assert recipe.data.source.path == str(tmp_path / "recipes" / "photos")
    changed = load(path, ["store=runs", "data.source={kind: folder, path: mine}"])
    assert changed.store == str(elsewhere / "runs")
    assert changed.data.source.path == str(elsewhere / "mine")
    assert load(path, ["data.source.path=/data/mine", "store=~/runs"]).store == str(Path.home() / "runs")
    assert load(path, ["store=s3://bucket/runs"]).store == "s3://bucket/runs"


def test_paths_of_masks_and_of_their_classes(small: dict[str, Any], write: Write, tmp_path: Path) -> None:
    """A list of classes is one of names."""
    source = {"kind": "table", "path": "t.csv", "classes": "../c.txt"}
    path = write(small | {"data": {"source": source}}, "recipes/r.yaml")
    assert load(path).data.source.classes == str(tmp_path / "c.txt")
    assert load(path, ["data.source.classes=[sky, road]"]).data.source.classes == ["sky", "road"]
    assert load(path, ["data.source.classes={0: sky, 255: road}"]).data.source.classes == {0: "sky", 255: "road"}


def test_store_by_default(small: dict[str, Any], write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(small, "recipes/r.yaml")
    monkeypatch.chdir(tmp_path)
    assert load(path).store == str(tmp_path / "runs")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert load(path).store == "/home/me/zoetrope-runs"
    assert load(path, ["store=runs"]).store == str(tmp_path / "runs")


@pytest.mark.parametrize(
    ("overrides", "look", "expected"),
    [
        (["seed=3"], lambda r: r.seed, 3),
        (["shard.image.quality=80"], lambda r: r.shard.image.quality, 80),  # sections that the file does not name
        (["augment.eval=[NoOp, {Resize: {height: 8, width: 8}}]"], lambda r: len(r.augment.eval), 2),
        (["train.grad_clip=1", "train.grad_clip=null"], lambda r: r.train.grad_clip, None),
        (["train.grad_clip="], lambda r: r.train.grad_clip, None),
        (["train.duration=100st"], lambda r: str(r.train.duration), "100st"),
        (["optimizer.weight_decay=1e-3"], lambda r: r.optimizer.weight_decay, 1e-3),  # a string to YAML 1.1
        (["train={duration: 1ep, batch_size: 2}"], lambda r: r.train.batch_size, 2),
        (["optimizer.kind=adamw"], lambda r: (r.optimizer.kind, r.optimizer.lr), ("adamw", 1e-3)),
        (["optimizer.lr=0.5", "optimizer.kind=adamw"], lambda r: (r.optimizer.kind, r.optimizer.lr), ("adamw", 0.5)),
        (["optimizer.kind=sgd"], lambda r: r.optimizer.momentum, 0.8),
        (["tracking.experiment=a=b"], lambda r: r.tracking.experiment, "a=b"),
        ([" seed = 4"], lambda r: r.seed, 4),
    ],
)
def test_overrides(
    small: dict[str, Any], write: Write, overrides: list[str], look: Callable[[Recipe], Any], expected: Any
) -> None:
    assert look(load(write(small), overrides)) == expected


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.duration", "'train.duration': an override is written as key.subkey=value, such as train.duration=10ep"),
        ("=3", "an override is written as key.subkey=value"),
        ("train..duration=3ep", "an override is written as key.subkey=value"),
        ("seed=[1", "'seed=[1': the value is not valid YAML"),
        ("train.duration.unit=ep", "train.duration.unit: train.duration holds no keys; give it a whole value"),
        ("augment.train.0=NoOp", "augment.train.0: augment.train holds no keys"),
        ("trian.duration=3ep", "trian: unknown key 'trian'; did you mean 'train' or 'tracking'?"),
        ("train.duratoin=3ep", "train.duratoin: unknown key 'duratoin'; did you mean 'duration'?"),
        ("model=resnet34", "model: is a section; write model: {kind: resnet34}, not 'resnet34'"),
        ("shard=", "shard: is a section; write shard: {key: value, ...}, not None"),
    ],
)
def test_wrong_overrides(small: dict[str, Any], write: Write, override: str, says: str) -> None:
    assert says in problems(write(small), override)


def test_overrides_and_file_are_reported_together(small: dict[str, Any], write: Write) -> None:
    del small["name"]
    message = problems(write(small), "train", "optimizer.lr=fast")
    assert message.splitlines()[0].endswith("r.yaml: 3 problems")
    assert "name: is missing" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nseed: 1\nname: b\n", "key 'name' stands twice (line 3, column 1)"),
        ("a: &x 1\nb: *x\n", "aliases (*name) are not allowed; write the value again (line 2, column 4)"),
        ("name: [a\nseed: 1\n", "is not valid YAML: expected ',' or ']', but got ':' (line 2, column 5)"),
        ("name: !!python/object:os.system x\n", "could not determine a constructor for the tag"),
        ("? [a, b]\n: 1\n", "a key must be a word (line 1, column 3)"),
        ("day: 2026-13-01\n", "is not valid YAML: month must be in 1..12"),
        ("[" * 5000, "is not valid YAML: nested too deeply"),
        ("", "a recipe is a mapping of keys to values"),
        ("- name\n", "a recipe is a mapping of keys to values"),
        ("name: \0\n", "is not valid YAML: unacceptable character"),
        ("#" * (1 << 20) + "\n", "larger than 1 MiB; that is no recipe"),
    ],
)
def test_text_that_is_no_recipe(write: Write, text: str, says: str) -> None:
    message = problems(write(text))
    assert message.startswith(str(write(text)))
    assert says in message


def test_files_that_are_none(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("", "images.yaml")
    write("", "quickstart.yaml")
    assert problems(tmp_path / "quikstart.yaml").endswith(f"no such file; did you mean {tmp_path}/quickstart.yaml?")
    assert problems(tmp_path / "zzz.yaml").endswith(
        f"no such file; in {tmp_path} there are images.yaml, quickstart.yaml"
    )
    assert problems(tmp_path / "nowhere" / "r.yaml").endswith("r.yaml: there is no such file")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert problems(tmp_path / "nowhere" / "r.yaml").endswith("no such file (a job gets no files that git ignores)")
    assert problems(tmp_path).endswith(
        f"is a folder, and a recipe is a file; in {tmp_path} there are images.yaml, quickstart.yaml"
    )
    (tmp_path / "photo.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    assert "is no text in UTF-8" in problems(tmp_path / "photo.yaml")
    assert "/dev/zero: cannot be read: it is a pipe or a device and no file" in problems(Path("/dev/zero"))


def test_what_a_recipe_extends_may_be_hostile_as_well(write: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")  # to open it would wait for whoever writes into it
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert "pipe.yaml: cannot be read: it is a pipe or a device" in problems(tmp_path / "pipe.yaml")
    for base, says in (
        ("pipe.yaml", "pipe.yaml: cannot be read: it is a pipe or a device and no file"),
        ("/dev/zero", "/dev/zero: cannot be read: it is a pipe or a device and no file"),
        ("loop.yaml", "loop.yaml: cannot be read: Too many levels of symbolic links"),
        (".", "is a folder, and a recipe is a file"),
        ("x" * 5000, "cannot be read: File name too long"),
        ('"a\\0b"', "a text holds a character that no text can"),
    ):
        assert says in problems(write(f"extends: {base}\n"))


def test_a_long_chain_of_extends(small: dict[str, Any], write: Write, tmp_path: Path) -> None:
    for number in range(40):
        write({"extends": f"{number + 1}.yaml"}, f"{number}.yaml")
    assert problems(tmp_path / "0.yaml") == (
        f"{tmp_path}/0.yaml: extends a chain of more than 16 files; write them into fewer"
    )
    write(small, "15.yaml")
    assert load(tmp_path / "0.yaml").name == "small"


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(1 << 30)
    assert problems(tmp_path / "large.yaml").endswith("larger than 1 MiB; that is no recipe")


def test_what_is_said_of_long_values_is_short(small: dict[str, Any], write: Write) -> None:
    long = "x" * 100_000
    overrides = [f"train.duration={long}", f"model={long}", f"{long}=1", f"seed=[{long}", f"train.{long}=1", long]
    overrides += [".".join(["a"] * 3000) + "=1", "extends=" + long]
    for override in overrides:
        assert len(problems(write(small), override)) < 5000
    message = problems(write(small | {f"key{i}": 1 for i in range(90)}))
    assert message.splitlines()[0].endswith("90 problems")
    assert message.splitlines()[-1] == "  and 40 more"


def test_a_teacher_with_a_slash_is_a_path_and_another_one_a_run(
    small: dict[str, Any], write: Write, tmp_path: Path
) -> None:
    for given, expected in (("./model", str(tmp_path / "model")), ("first-20261120T101500Z", "first-20261120T101500Z")):
        assert load(write(small | {"loss": {"distill": {"teacher": given}}})).loss.distill.teacher == expected


def test_weights_are_a_path_where_they_look_like_one_or_are_there_and_else_a_name(
    small: dict[str, Any], write: Write, tmp_path: Path
) -> None:
    for name in ("mine", "imagenet1k"):
        (tmp_path / name).mkdir()
    for given, expected in (
        ("w.pth", str(tmp_path / "w.pth")),
        ("mine", str(tmp_path / "mine")),
        ("./imagenet1k", str(tmp_path / "imagenet1k")),
        ("imagenet1k", "imagenet1k"),  # official ones go before a folder
        ("quickstart", "quickstart"),
        ("hf://org/name", "hf://org/name"),
    ):
        assert load(write(small | {"model": {"kind": "resnet18", "weights": given}})).model.weights == expected


def test_a_policy_file_is_part_of_the_recipe(
    small: dict[str, Any], write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "policy.yaml").write_text("[[[Invert, 1, null]]]")
    crop = small["augment"]["train"]
    base = {"augment": {"train": [{"AutoAugment": {"policy": "policy.yaml"}}, *crop], "eval": ["NoOp"]}}
    write(small | base, "mine/base.yaml")
    path = write({"extends": "mine/base.yaml"})
    held = {"AutoAugment": {"policy": [[["Invert", 1, None]]]}}
    assert load(path).augment.train == [held, *crop]

    (tmp_path / "mine" / "policy.yaml").write_text("[[[Equalize, 0.5, null]]]")
    assert load(path).augment.train[0] == {"AutoAugment": {"policy": [[["Equalize", 0.5, None]]]}}
    assert recipes.check(small | base, "r", tmp_path / "mine").augment.train == load(path).augment.train

    (tmp_path / "here.json").write_text('[[["Rotate", 1, 5]]]')
    monkeypatch.chdir(tmp_path)
    overridden = load(path, ["augment.train=[{AutoAugment: {policy: here.json}}]"])
    assert overridden.augment.train == [{"AutoAugment": {"policy": [[["Rotate", 1, 5]]]}}]


def test_a_wrong_policy_file_is_told(small: dict[str, Any], write: Write, tmp_path: Path) -> None:
    def with_policy(name: str) -> Path:
        return write(small | {"augment": {**small["augment"], "train": [{"AutoAugment": {"policy": name}}]}})

    assert "augment.train: cannot read the policy" in problems(with_policy("absent.yaml"))
    (tmp_path / "wrong.yaml").write_text("[[[Inwert, 1, null]]]")
    assert "unknown operation 'Inwert'; did you mean 'Invert'" in problems(with_policy("wrong.yaml"))
