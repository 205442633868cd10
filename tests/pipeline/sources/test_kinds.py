from pipeline.decode.limits import CONVERT
from pipeline.sources.kinds import counted, kind, refusal


def test_why_an_extension_is_not_taken() -> None:
    assert refusal(".jpg", "image") is None
    assert refusal(".jpg", "video") == ".jpg is an extension of images, and task.kind asks for videos"
    assert refusal(".mp4", "image") == ".mp4 is an extension of videos, and task.kind asks for images"
    assert refusal(".heic", "image") == CONVERT[".heic"]
    says = refusal(".xyz", "video")
    assert says is not None
    assert says.startswith("its extension '.xyz' is not one of .3gp, .asf, .avi, ")


def test_kinds_are_counted_and_printed() -> None:
    assert kind(".a\x1b\nb") == ".a??b"
    assert kind("") == "without an extension"
    assert counted({".a": 1, ".b": 1200}) == "1,200 x .b, 1 x .a"
    many = {f".{i:02d}": 1 for i in range(23)}
    assert counted(many).endswith("1 x .19, and 3 of 3 more kinds")
