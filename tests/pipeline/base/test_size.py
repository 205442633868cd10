import pytest

from pipeline.base.size import parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1000", 1000),
        ("500MB", 500_000_000),
        ("8GiB", 8_589_934_592),
        ("8gib", 8_589_934_592),
        ("1.5 KiB", 1536),
        ("2Ti", 2_199_023_255_552),
        ("7k", 7000),
        (" 1T ", 10**12),
    ],
)
def test_sizes_as_they_are_written(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-1GB", "8GiBs", "8 i", "iB", "1e9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no size; write one such as 8GiB or 500MB"):
        parse_size(text)
