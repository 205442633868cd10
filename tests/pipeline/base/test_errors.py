from pipeline.base.errors import brief, nearest, unknown


def test_a_long_value_is_cut() -> None:
    assert brief("short") == "'short'"
    assert brief("x" * 1000) == "'" + "x" * 196 + "..."


def test_a_name_of_any_length_is_answered() -> None:
    assert unknown("kind", "sdg", ["sgd", "adamw"]) == "unknown kind 'sdg'; did you mean 'sgd'?"
    assert len(unknown("kind", "x" * 10**6, ["sgd", "adamw"])) < 300
    assert nearest("x" * 10**6, ["x" * 10**6]) == []
