"""Kinetics, Something-Something, UCF101 and HMDB51, by files laid out as theirs."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import VIDEO_EXTENSIONS
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import section_of
from pipeline.sources import _SOURCE, SOURCES
from pipeline.sources.listing import FrameFolder, Listing

VIDEOS = section_of("video-classification")


class Set:
    """Annotations and videos of a data set in a folder."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        (folder / "videos").mkdir()
        (folder / "annotations").mkdir()

    def video(self, *names: str) -> None:
        for name in names:
            path = self.folder / "videos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")

    def text(self, name: str, content: Any) -> None:
        path = self.folder / "annotations" / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    def source(self, **options: Any) -> Any:
        values = {"path": str(self.folder / "videos"), "annotations": str(self.folder / "annotations"), **options}
        return _SOURCE.validate_python({"kind": self.kind, **values})

    def look(self, **options: Any) -> Listing:
        return SOURCES[self.kind].look(self.source(**options), VIDEOS, Split())

    def digest(self) -> str:
        return SOURCES[self.kind].digest(self.source())

    def refusal(self, **options: Any) -> str:
        with pytest.raises(ZoetropeError) as caught:
            self.look(**options)
        return str(caught.value)


def rows(listing: Listing) -> list[tuple[str, str, str]]:
    return [(candidate.key, candidate.labels[0], candidate.split) for candidate in listing.candidates]


HEAD = "label,youtube_id,time_start,time_end,split\n"


@pytest.fixture
def kinetics(tmp_path: Path) -> Set:
    made = Set(tmp_path, "kinetics")
    made.text("train.csv", HEAD + "air drumming,-0aa_-bcdef,5,15,train\nabseiling,bbbbbbbbbbb,0,10,train\n")
    made.text("validate.csv", HEAD + "abseiling,ccccccccccc,100,110,validate\n")
    made.text("test.csv", "label,youtube_id,time_start,time_end,split\n,ddddddddddd,1,11,test\n")
    return made


def test_kinetics(kinetics: Set) -> None:
    kinetics.video(
        "train/air_drumming/-0aa_-bcdef_000005_000015.mp4", "train/abseiling/bbbbbbbbbbb.mkv", "ccccccccccc.mp4"
    )
    listing = kinetics.look()
    assert rows(listing) == [
        ("ccccccccccc.mp4", "abseiling", "val"),
        ("train/abseiling/bbbbbbbbbbb.mkv", "abseiling", "train"),
        ("train/air_drumming/-0aa_-bcdef_000005_000015.mp4", "air drumming", "train"),
    ]
    assert listing.others == {"in test": 1}
    assert all(candidate.start_s is None for candidate in listing.candidates)
    assert listing.missing == ()


def test_untrimmed_kinetics_is_cut(kinetics: Set) -> None:
    kinetics.video("-0aa_-bcdef_000005_000015.mp4", "bbbbbbbbbbb.mp4", "ccccccccccc.mp4")
    found = {c.key: (c.start_s, c.end_s) for c in kinetics.look(untrimmed=True).candidates}
    assert found == {
        "-0aa_-bcdef_000005_000015.mp4": (None, None),
        "bbbbbbbbbbb.mp4#0-10": (0.0, 10.0),
        "ccccccccccc.mp4#100-110": (100.0, 110.0),
    }


def test_videos_gone_from_youtube_are_counted(kinetics: Set) -> None:
    kinetics.video("abseiling/bbbbbbbbbbb.mp4", "abseiling/ccccccccccc.mp4")
    listing = kinetics.look()
    assert len(listing.candidates) == 2
    assert listing.missing == ("-0aa_-bcdef_000005_000015",)
    assert kinetics.refusal(max_missing=0.3).startswith(
        f"data.source.path: 1 of 3 videos that {kinetics.folder / 'annotations'} names are not below "
        f"{kinetics.folder / 'videos'} as files of {', '.join(sorted(VIDEO_EXTENSIONS))}, such as "
        "-0aa_-bcdef_000005_000015; data.source.max_missing = 0.3 allows 0. Fetch them, or go on with what is there: "
        "data.source.max_missing=0.334."
    )


def test_splits_in_capitals_and_with_blanks(kinetics: Set) -> None:
    kinetics.text("train.csv", HEAD + "run,a,0,10,Train\nsit,b,0,10, train\n")
    kinetics.text("validate.csv", HEAD + "run,c,0,10,Validate\n")
    kinetics.text("test.csv", HEAD + "run,d,0,10,TEST\n")
    kinetics.video("a.mp4", "b.mp4", "c.mp4")
    listing = kinetics.look()
    assert [split for *_, split in rows(listing)] == ["train", "train", "val"]
    assert listing.others == {"in test": 1}


def test_a_video_that_is_named_twice(kinetics: Set) -> None:
    kinetics.text("train.csv", HEAD + "".join(f"{row},train\n" for row in ["run,a,0,10", "sit,a,0,10", "sit,b,0,10"]))
    kinetics.text("validate.csv", HEAD + "sit,b,0,10,validate\nsit,c,0,10,validate\nsit,c,0,10,val\nrun,d,0,10,val\n")
    kinetics.text("more.csv", HEAD + 'sit,e,0,10,train\nrun,e,20,30,train\nrun,f,0,10,train\n"r\x07n",g,0,10,train\n')
    kinetics.video(*(f"{name}.mp4" for name in "abcdefg"))
    listing = kinetics.look()
    assert rows(listing) == [("c.mp4", "sit", "val"), ("d.mp4", "run", "val"), ("f.mp4", "run", "train")]
    assert listing.others == {"in test": 1, "named twice": 1}
    assert listing.refused == {
        "a.mp4": "it is named twice, as 'run' in train and as 'sit' in train",
        "b.mp4": "it is named twice, as 'sit' in train and as 'sit' in val",
        "e.mp4": "it is named twice, as 'sit' in train and as 'run' in train",
        "g.mp4": "its label 'r\\x07n' has a character that does not print",
    }
    assert not listing.lost


def test_a_class_whose_videos_are_all_refused_is_lost(ucf101: Set) -> None:
    ucf101.text("trainlist01.txt", "YoYo/v_YoYo_g01_c01.avi 1\nArchery/v_1.avi 2\nArchery/v_2.avi 2\n")
    ucf101.text("testlist01.txt", "YoYo/v_YoYo_g02_c01.avi\nArchery/v_1.avi\nArchery/v_2.avi\n")
    ucf101.video("Archery/v_1.avi", "Archery/v_2.avi")
    assert ucf101.look().lost == {
        "Archery": "Archery/v_1.avi, which is refused: it is named twice, as 'Archery' in train and as 'Archery' in val"
    }


def test_a_video_in_the_folder_of_another_class_is_another_one(kinetics: Set) -> None:
    kinetics.video("val/air_drumming/bbbbbbbbbbb.mp4", "air drumming/-0aa_-bcdef.mp4", "part_2/ccccccccccc.mp4")
    listing = kinetics.look()
    assert rows(listing) == [
        ("air drumming/-0aa_-bcdef.mp4", "air drumming", "train"),
        ("part_2/ccccccccccc.mp4", "abseiling", "val"),  # no class is called so
    ]
    assert listing.missing == ("bbbbbbbbbbb_000000_000010",)


def test_a_split_that_is_not_there_at_all(kinetics: Set) -> None:
    kinetics.video("abseiling/bbbbbbbbbbb.mp4", "x/-0aa_-bcdef.mp4")
    assert "has no video of the split 'val' of" in kinetics.refusal()
    assert "none of the 1 that are named is there" in kinetics.refusal()


def test_annotations_that_are_none(kinetics: Set) -> None:
    kinetics.text("train.csv", "video,label\n1,2\n")
    assert "train.csv has no column 'youtube_id'; it should be one of Kinetics' train.csv" in kinetics.refusal()
    kinetics.text("train.csv", HEAD + "x,y,soon,later,train\n")
    assert "train.csv has a time that is no number in line 2" in kinetics.refusal()
    for time in ("nan", "inf", ""):
        kinetics.text("train.csv", HEAD + f"x,y,0,{time},train\n")
        assert "train.csv has a time that is no number in line 2" in kinetics.refusal()
    assert "is no folder" in kinetics.refusal(annotations=str(kinetics.folder / "nowhere"))
    empty = kinetics.folder / "empty"
    empty.mkdir()
    assert "has no *.csv; it should hold Kinetics'" in kinetics.refusal(annotations=str(empty))
    one = kinetics.folder / "annotations" / "validate.csv"
    kinetics.video("ccccccccccc.mp4")
    assert "has no video of the split 'train'" in kinetics.refusal(annotations=str(one))


LABELS = {"Holding something next to something": "1", "Approaching something": "0"}


@pytest.fixture
def something(tmp_path: Path) -> Set:
    made = Set(tmp_path, "something-something")
    made.text("something-something-v2-labels.json", LABELS)
    train = [
        {
            "id": "78687",
            "label": "holding potato next to vicks",
            "template": "Holding [something] next to [something]",
            "placeholders": ["potato", "vicks"],
        },
        {"id": "42", "label": "approaching a cup", "template": "Approaching [something]", "placeholders": ["a cup"]},
    ]
    made.text("something-something-v2-train.json", train)
    made.text("something-something-v2-validation.json", [{"id": "7", "template": "Approaching [something]"}])
    made.text("something-something-v2-test.json", [{"id": "1420"}])
    return made


EXPECTED = [
    ("42.webm", "Approaching something", "train"),
    ("7.webm", "Approaching something", "val"),
    ("78687.webm", "Holding something next to something", "train"),
]


def test_something_something_v2(something: Set) -> None:
    something.video("78687.webm", "42.webm", "7.webm")
    listing = something.look()
    assert rows(listing) == EXPECTED
    assert listing.classes() == ["Approaching something", "Holding something next to something"]


def test_something_something_as_frames(something: Set) -> None:
    something.video(*(f"{name}/{i:05d}.jpg" for name in ("78687", "42", "7") for i in (1, 2)))
    listing = something.look(fps=12)
    assert rows(listing) == [(key.removesuffix(".webm"), *rest) for key, *rest in EXPECTED]
    assert {candidate.frames for candidate in listing.candidates} == {FrameFolder(12.0, "*")}
    assert "3 of 3 videos" in something.refusal()
    assert "mend the path" in something.refusal()


def test_something_something_v1(tmp_path: Path) -> None:
    made = Set(tmp_path, "something-something")
    made.text("something-something-v1-labels.csv", "Turning something\nHolding something\n")
    made.text("something-something-v1-train.csv", "100;Holding something\n101;Turning something\n")
    made.text("something-something-v1-validation.csv", "102;Holding something\n")
    made.video(*(f"{name}/00001.jpg" for name in (100, 101, 102)))
    listing = made.look(fps=12)
    assert listing.classes() == ["Turning something", "Holding something"]  # numbered by the labels file
    assert [split for *_, split in rows(listing)] == ["train", "train", "val"]
    made.text("something-something-v1-train.csv", "100,Holding something\n")
    assert "should have id;template in line 1, not '100,Holding something'" in made.refusal(fps=12)


def test_templates_must_be_in_the_labels_file(something: Set) -> None:
    something.text("something-something-v2-validation.json", [{"id": "7", "template": "Eating [something]"}])
    assert "the template 'Eating something' of video 7 is not in the labels file" in something.refusal()
    something.text("something-something-v2-validation.json", {"id": 7})
    assert "validation.json should hold a JSON list" in something.refusal()
    something.text("something-something-v2-validation.json", [{"id": 7}])
    assert "should be a list of objects with id and template" in something.refusal()
    something.text("something-something-v2-labels.json", "{")
    assert "labels.json is no valid JSON" in something.refusal()
    for number in ("y", None, float("inf")):
        something.text("something-something-v2-labels.json", {"x": number})
        assert "should give each template its number" in something.refusal()


@pytest.fixture
def ucf101(tmp_path: Path) -> Set:
    made = Set(tmp_path, "ucf101")
    made.text("classInd.txt", "1 YoYo\n2 Archery\n")
    for fold, number in ((1, "01"), (2, "02")):
        made.text(f"trainlist{number}.txt", f"YoYo/v_YoYo_g0{fold}_c01.avi 1\nArchery/v_Archery_g08_c01.avi 2\n")
        made.text(f"testlist{number}.txt", f"YoYo/v_YoYo_g0{3 - fold}_c01.avi\n")
    made.video("YoYo/v_YoYo_g01_c01.avi", "YoYo/v_YoYo_g02_c01.avi", "Archery/v_Archery_g08_c01.avi")
    return made


def test_ucf101(ucf101: Set) -> None:
    listing = ucf101.look()
    assert rows(listing) == [
        ("Archery/v_Archery_g08_c01.avi", "Archery", "train"),
        ("YoYo/v_YoYo_g01_c01.avi", "YoYo", "train"),
        ("YoYo/v_YoYo_g02_c01.avi", "YoYo", "val"),
    ]
    assert listing.classes() == ["YoYo", "Archery"]
    second = {key: split for key, _, split in rows(ucf101.look(fold=2))}
    assert second["YoYo/v_YoYo_g01_c01.avi"] == "val"
    assert "has no trainlist03.txt; it should hold UCF101's" in ucf101.refusal(fold=3)
    (ucf101.folder / "videos/YoYo/v_YoYo_g01_c01.avi").unlink()
    assert "1 of 3 videos" in ucf101.refusal()
    ucf101.text("classInd.txt", "YoYo\n")
    assert "classInd.txt should have a number and a class in each line" in ucf101.refusal()


def test_hmdb51(tmp_path: Path) -> None:
    made = Set(tmp_path, "hmdb51")
    made.text("brush_hair_test_split1.txt", "A b_brush_hair_0.avi 1 \nc_brush_hair_1.avi 2 \nd_brush_hair_2.avi 0 \n")
    made.text("cartwheel_test_split1.txt", "same.avi 1\nother.avi 2\n")
    made.text("catch_test_split1.txt", "same.avi 2\n")
    made.text("catch_test_split2.txt", "same.avi 1\n")
    made.video("brush_hair/A b_brush_hair_0.avi", "brush_hair/c_brush_hair_1.avi", "brush_hair/d_brush_hair_2.avi")
    made.video("cartwheel/same.avi", "cartwheel/other.avi", "catch/same.avi")
    listing = made.look()
    assert rows(listing) == [
        ("brush_hair/A b_brush_hair_0.avi", "brush_hair", "train"),
        ("brush_hair/c_brush_hair_1.avi", "brush_hair", "val"),
        ("cartwheel/other.avi", "cartwheel", "val"),
        ("cartwheel/same.avi", "cartwheel", "train"),
        ("catch/same.avi", "catch", "val"),
    ]
    assert listing.others == {"in neither split": 1}
    made.text("catch_test_split1.txt", "same.avi 3\n")
    assert "should have a video and 0, 1 or 2 in line 1, not 'same.avi 3'" in made.refusal()


def test_one_name_in_two_classes_of_which_one_is_gone(ucf101: Set) -> None:
    ucf101.text("testlist01.txt", "YoYo/v_YoYo_g02_c01.avi\nArchery/v_YoYo_g02_c01.avi\n")
    assert ucf101.look(max_missing=0.5).missing == ("v_YoYo_g02_c01",)


def test_stems_and_class_folders_in_another_form_of_unicode(ucf101: Set) -> None:
    ucf101.text("testlist01.txt", "cafe\u0301/th\u00e9.avi\n")
    ucf101.text("trainlist01.txt", "caf\u00e9/a.avi 1\nYoYo/v_YoYo_g01_c01.avi 1\n")
    ucf101.video("cafe\u0301/the\u0301.avi", "cafe\u0301/a.avi")
    assert rows(ucf101.look()) == [
        ("YoYo/v_YoYo_g01_c01.avi", "YoYo", "train"),
        ("cafe\u0301/a.avi", "caf\u00e9", "train"),
        ("cafe\u0301/the\u0301.avi", "caf\u00e9", "val"),
    ]


def test_the_digest_is_of_annotations_and_videos(ucf101: Set) -> None:
    before = ucf101.digest()
    assert ucf101.digest() == before
    ucf101.video("YoYo/another.avi")
    changed = ucf101.digest()
    ucf101.text("testlist01.txt", "YoYo/another.avi\n")
    assert len({before, changed, ucf101.digest()}) == 3


def test_jester(tmp_path: Path) -> None:
    made = Set(tmp_path, "jester")
    made.text("jester-v1-labels.csv", "Swiping Left\nNo gesture\n")
    made.text("jester-v1-train.csv", "34870;No gesture\n56557;Swiping Left\n")
    made.text("jester-v1-validation.csv", "9223;Swiping Left\n")
    made.text("jester-v1-test.csv", "144082\n")
    made.video(*(f"{name}/00001.jpg" for name in (34870, 56557, 9223, 144082)))
    listing = made.look(fps=12)
    assert listing.classes() == ["Swiping Left", "No gesture"]
    assert rows(listing) == [
        ("34870", "No gesture", "train"),
        ("56557", "Swiping Left", "train"),
        ("9223", "Swiping Left", "val"),
    ]


VOCABULARY = [["Back", "15som", "05Twis", "FREE"], ["Forward", "Dive", "NoTwis", "PIKE"]]


def dive(name: str, label: Any) -> dict[str, Any]:
    return {"vid_name": name, "label": label, "start_frame": 0, "end_frame": 48}


@pytest.fixture
def diving48(tmp_path: Path) -> Set:
    made = Set(tmp_path, "diving48")
    made.text("Diving48_vocab.json", VOCABULARY)
    made.text("Diving48_V2_train.json", [dive("-mmq0PT-u8k_00155", 1), dive("-mmq0PT-u8k_00156", 0)])
    made.text("Diving48_V2_test.json", [dive("_8Vy3dlHg2w_00000", 1)])
    made.text("Diving48_test.json", [dive("_8Vy3dlHg2w_00000", 0)])  # of V1
    made.video("-mmq0PT-u8k_00155.mp4", "-mmq0PT-u8k_00156.mp4", "_8Vy3dlHg2w_00000.mp4")
    return made


def test_diving48(diving48: Set) -> None:
    listing = diving48.look()
    assert listing.classes() == ["Back 15som 05Twis FREE", "Forward Dive NoTwis PIKE"]
    assert rows(listing) == [
        ("-mmq0PT-u8k_00155.mp4", "Forward Dive NoTwis PIKE", "train"),
        ("-mmq0PT-u8k_00156.mp4", "Back 15som 05Twis FREE", "train"),
        ("_8Vy3dlHg2w_00000.mp4", "Forward Dive NoTwis PIKE", "val"),
    ]


def test_diving48_that_is_none(diving48: Set) -> None:
    for label in (2, -1, "1"):
        diving48.text("Diving48_V2_test.json", [dive("x", label)])
        assert f"V2_test.json: x has the label {label!r}, and there are 2 classes" in diving48.refusal()
    diving48.text("Diving48_V2_test.json", [{"vid_name": "x"}])
    assert "should be a list of objects with vid_name and label" in diving48.refusal()
    diving48.text("Diving48_vocab.json", ["Back"])
    assert "should be a list of classes, each a list of its parts in words" in diving48.refusal()
    (diving48.folder / "annotations" / "Diving48_V2_train.json").rename(diving48.folder / "annotations" / "train.json")
    diving48.text("Diving48_vocab.json", VOCABULARY)
    assert "has no *V2_train.json; it should hold Diving48_vocab.json, Diving48_V2_train.json" in diving48.refusal()


HEADING = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"


@pytest.fixture
def charades(tmp_path: Path) -> Set:
    made = Set(tmp_path, "charades")
    made.text("Charades_v1_classes.txt", "c000 Holding some clothes\nc001 Putting clothes somewhere\nc002 Sitting\n")
    told = '46GP8,HR43,Kitchen,6,7,Yes,"A person, who cooks",food;stove,"He ""cooks""."'
    made.text(
        "Charades_v1_train.csv",
        f"{HEADING}{told},c001 11.90 21.20;c000 0.00 12.60;c001 25.00 40.00,24.83\n"
        "N11GT,0KZ7,Stairs,6,7,Yes,s,o,d,,18.33\n",
    )
    made.text("Charades_v1_test.csv", f"{HEADING}YSKX3,0KZ7,Stairs,6,7,Yes,s,o,d,c002 0.00 3.10,18.33\n")
    made.video("46GP8.mp4", "N11GT.mp4", "YSKX3.mp4")
    return made


def test_charades(charades: Set) -> None:
    listing = SOURCES["charades"].look(charades.source(), section_of("video-multilabel"), Split())
    assert [(one.key, one.labels, one.split) for one in listing.candidates] == [
        ("46GP8.mp4", ("Holding some clothes", "Putting clothes somewhere"), "train"),
        ("N11GT.mp4", (), "train"),
        ("YSKX3.mp4", ("Sitting",), "val"),
    ]
    assert listing.classes() == ["Holding some clothes", "Putting clothes somewhere", "Sitting"]
    assert {(one.start_s, one.end_s) for one in listing.candidates} == {(None, None)}


def test_charades_that_is_none(charades: Set) -> None:
    def refusal(kind: str = "video-multilabel") -> str:
        with pytest.raises(ZoetropeError) as caught:
            SOURCES["charades"].look(charades.source(), section_of(kind), Split())
        return str(caught.value)

    assert refusal("video-classification").endswith("asks for one; set it to video-multilabel")
    charades.text("Charades_v1_test.csv", f"{HEADING}YSKX3,0KZ7,Stairs,6,7,Yes,s,o,d,c157 0.00 3.10,18.33\n")
    assert "Charades_v1_test.csv: YSKX3 has the action 'c157', which is no class" in refusal()
    charades.text("Charades_v1_test.csv", "id,length\n")
    assert "Charades_v1_test.csv has no column 'actions'" in refusal()
    charades.text("Charades_v1_classes.txt", "Holding some clothes\n")
    assert "should have a class in each line, such as c000 Holding some clothes" in refusal()


@pytest.fixture
def activitynet(tmp_path: Path) -> Set:
    made = Set(tmp_path, "activitynet")
    played = [
        {"label": "Polo", "segment": [2, 10.5]},
        {"label": "Polo", "segment": [20.0, 42.3]},  # behind the video's end
        {"label": "Polo", "segment": [30, 30]},
    ]
    database = {
        "sJFgo9H6zNo": {"subset": "training", "duration": 42.0, "url": "https://", "annotations": played},
        "-fjdqIrsWJA": {
            "subset": "validation",
            "duration": 9.0,
            "annotations": [{"label": "Surfing", "segment": [0.01, 9]}],
        },
        "V1zhqaGFY2A": {"subset": "testing", "duration": 9.0, "annotations": []},
    }
    made.text("activity_net.v1-3.min.json", {"version": "VERSION 1.3", "taxonomy": [], "database": database})
    made.video("v_sJFgo9H6zNo.mp4", "val/-fjdqIrsWJA.mkv")
    return made


def test_activitynet(activitynet: Set) -> None:
    for options in ({}, {"annotations": str(activitynet.folder / "annotations/activity_net.v1-3.min.json")}):
        listing = activitynet.look(**options)
        assert [(one.key, *one.labels, one.split, one.start_s, one.end_s) for one in listing.candidates] == [
            ("v_sJFgo9H6zNo.mp4#2-10.5", "Polo", "train", 2.0, 10.5),
            ("v_sJFgo9H6zNo.mp4#20-42", "Polo", "train", 20.0, 42.0),
            ("val/-fjdqIrsWJA.mkv#0.01-9", "Surfing", "val", 0.01, 9.0),
        ]
        assert listing.others == {"in testing": 1, "segments without a length": 1}


def test_activitynet_that_is_none(activitynet: Set) -> None:
    for video in ({"subset": "training"}, {"subset": "training", "duration": 1, "annotations": [{"label": "a"}]}, 3):
        activitynet.text("activity_net.v1-3.min.json", {"database": {"x": video}})
        assert ": x should have subset, duration and annotations" in activitynet.refusal()
    for segment in ([0, "soon"], [0], [float("nan"), 2], 7):
        annotations = [{"label": "a", "segment": segment}]
        video = {"subset": "training", "duration": 5, "annotations": annotations}
        activitynet.text("activity_net.v1-3.min.json", {"database": {"x": video}})
        assert ": x should have subset, duration and annotations" in activitynet.refusal()
    activitynet.text("activity_net.v1-3.min.json", {"videos": []})
    assert "has no object `database`; it should be activity_net.v1-3.min.json" in activitynet.refusal()
