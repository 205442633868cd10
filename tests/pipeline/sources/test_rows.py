from pipeline.sources.rows import Row, label_of, number_classes


def a_row(*classes: str) -> Row:
    return {"key": "1.jpg", "width": 1, "height": 1, "frames": 1, "classes": classes}


def test_one_class_is_a_number_and_several_are_an_ascending_list() -> None:
    numbers = {"cat": 0, "dog": 1, "eel": 2}
    for classes, label_sets, label, stored in [
        (("dog",), False, 1, 1),
        (("eel", "cat"), True, [0, 2], (0, 2)),
        ((), True, [], ()),
    ]:
        row = a_row(*classes)
        number_classes(row, numbers, label_sets)
        assert row == {"key": "1.jpg", "width": 1, "height": 1, "frames": 1, "label": label}
        assert label_of(row) == stored
