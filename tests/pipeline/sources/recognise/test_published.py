"""Published data sets by the files that come with them; their sources take what is said of them."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.recipe.sources import Source
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import section_of
from pipeline.sources import files_of
from pipeline.sources.recognise import recognise, tree_of
from tests.pipeline.sources.recognise.test_recognise import Make, guessed, make

__all__ = ["make"]

KINETICS = "label,youtube_id,time_start,time_end,split\n"
UCF101 = {
    "ucfTrainTestlist/trainlist01.txt": "Run/v_Run_g01_c01.avi 1\nSit/v_Sit_g01_c01.avi 2\n",
    "ucfTrainTestlist/testlist01.txt": "Run/v_Run_g02_c01.avi\n",
    "ucfTrainTestlist/trainlist02.txt": "",
    **{f"UCF-101/{name}.avi": "x" for name in ("Run/v_Run_g01_c01", "Sit/v_Sit_g01_c01", "Run/v_Run_g02_c01")},
}
HMDB51 = {
    "splits/run_test_split1.txt": "a.avi 1\nb.avi 2\n",
    "splits/sit_test_split1.txt": "c.avi 1\nd.avi 0\n",
    **{f"hmdb51_org/{name}.avi": "x" for name in ("run/a", "run/b", "sit/c", "sit/d")},
}
TWO_FILES = {
    "annotations/train.csv": f"{KINETICS}running,aaaaaaaaaaa,1,11,train\n",
    "annotations/validate.csv": f"{KINETICS}running,bbbbbbbbbbb,0,10,validate\n",
    "videos/train/running/aaaaaaaaaaa_000001_000011.mp4": "x",
    "videos/val/running/bbbbbbbbbbb_000000_000010.mp4": "x",
}
ONE_FILE = {
    "all.csv": f"{KINETICS}running,aaaaaaaaaaa,1,11,train\nrunning,bbbbbbbbbbb,0,10,val\n",
    "other.csv": "path,label\n",
    "aaaaaaaaaaa_000001_000011.mp4": "x",
    "bbbbbbbbbbb_000000_000010.mp4": "x",
}
SOMETHING_V2 = {
    "labels/labels.json": json.dumps({"Pushing something": "0"}),
    "labels/train.json": json.dumps([{"id": "1", "template": "Pushing [something]"}]),
    "labels/validation.json": json.dumps([{"id": "2", "template": "Pushing [something]"}]),
    "20bn-something-something-v2/1.webm": "x",
    "20bn-something-something-v2/2.webm": "x",
}
SOMETHING_V1 = {
    "something-something-v1-labels.csv": "Pushing something\n",
    "something-something-v1-train.csv": "1;Pushing something\n",
    "something-something-v1-validation.csv": "2;Pushing something\n",
    **{f"frames/{video}/{n:05}.jpg": "x" for video in "12" for n in range(1, 4)},
}
JESTER = {
    "labels/jester-v1-labels.csv": "Swiping Left\n",
    "labels/jester-v1-train.csv": "1;Swiping Left\n",
    "labels/jester-v1-validation.csv": "2;Swiping Left\n",
    **{f"20bn-jester-v1/{video}/{n:05}.jpg": "x" for video in "12" for n in range(1, 4)},
}
DIVING48 = {
    "annotations/Diving48_vocab.json": json.dumps([["Back", "15som", "05Twis", "FREE"]]),
    "annotations/Diving48_V2_train.json": json.dumps([{"vid_name": "a_0", "label": 0}]),
    "annotations/Diving48_V2_test.json": json.dumps([{"vid_name": "b_0", "label": 0}]),
    "rgb/a_0.mp4": "x",
    "rgb/b_0.mp4": "x",
}
CHARADES_FILES = {
    "Charades/Charades_v1_classes.txt": "c000 Holding some clothes\n",
    "Charades/Charades_v1_train.csv": "id,subject,actions,length\nAAAAA,x,c000 0.0 1.5,20\n",
    "Charades/Charades_v1_test.csv": "id,subject,actions,length\nBBBBB,x,,20\n",
    "Charades/Charades_v1_train_singlesub.csv": "id,subject,actions,length\n",
}
CHARADES = {**CHARADES_FILES, "Charades_v1_480/AAAAA.mp4": "x", "Charades_v1_480/BBBBB.mp4": "x"}
CHARADES_FRAMES = {
    **CHARADES_FILES,
    **{f"Charades_v1_rgb/{video}/{video}-{n:06}.jpg": "x" for video in ("AAAAA", "BBBBB") for n in range(1, 4)},
}
ACTIVITYNET = {
    "activity_net.v1-3.min.json": json.dumps(
        {
            "database": {
                key: {"subset": subset, "duration": 9.0, "annotations": [{"label": "Polo", "segment": [1, 5]}]}
                for key, subset in (("a", "training"), ("b", "validation"))
            }
        }
    ),
    "videos/v_a.mp4": "x",
    "videos/v_b.mp4": "x",
}


@pytest.mark.parametrize(
    ("files", "source", "splits"),
    [
        (UCF101, {"kind": "ucf101", "path": "UCF-101", "annotations": "ucfTrainTestlist"}, (2, 1)),
        (HMDB51, {"kind": "hmdb51", "path": "hmdb51_org", "annotations": "splits"}, (2, 1)),
        (TWO_FILES, {"kind": "kinetics", "path": "videos", "annotations": "annotations"}, (1, 1)),
        (ONE_FILE, {"kind": "kinetics", "path": ".", "annotations": "all.csv"}, (1, 1)),
        (
            SOMETHING_V2,
            {"kind": "something-something", "path": "20bn-something-something-v2", "annotations": "labels"},
            (1, 1),
        ),
        (SOMETHING_V1, {"kind": "something-something", "path": "frames", "annotations": ".", "fps": 12}, (1, 1)),
        (JESTER, {"kind": "jester", "path": "20bn-jester-v1", "annotations": "labels", "fps": 12}, (1, 1)),
        (DIVING48, {"kind": "diving48", "path": "rgb", "annotations": "annotations"}, (1, 1)),
        (CHARADES, {"kind": "charades", "path": "Charades_v1_480", "annotations": "Charades"}, (1, 1)),
        (
            CHARADES_FRAMES,
            {"kind": "charades", "path": "Charades_v1_rgb", "annotations": "Charades", "fps": 24},
            (1, 1),
        ),
        (
            ACTIVITYNET,
            {"kind": "activitynet", "path": "videos", "annotations": "activity_net.v1-3.min.json"},
            (1, 1),
        ),
    ],
    ids=[
        *("ucf101", "hmdb51", "kinetics", "kinetics-one-file", "something-v2", "something-v1", "jester", "diving48"),
        *("charades", "charades-frames", "activitynet"),
    ],
)
def test_layouts(make: Make, files: dict[str, str], source: dict[str, Any], splits: tuple[int, int]) -> None:
    root = make(**files)
    task = "video-multilabel" if source["kind"] == "charades" else "video-classification"
    assert guessed(root) == (task, source)
    checked: Any = TypeAdapter(Source).validate_python(dict(recognise(tree_of(root)).source))
    found = files_of(checked).look(checked, section_of(task), Split()).candidates
    assert tuple(sum(one.split == split for one in found) for split in ("train", "val")) == splits


def test_the_videos_alone_are_class_folders(make: Make) -> None:
    videos = [name for name in UCF101 if name.endswith(".avi")]
    assert guessed(make(*videos))[1] == {"kind": "folder", "path": "UCF-101"}
    assert guessed(make("ucfTrainTestlist/trainlist01.txt"))[1]["kind"] == "folder"  # its testlist lacks
