"""Stores of earlier versions stay valid: a recipe's stages keep their fingerprints.

A fingerprint that must change is named in the commit that changes it, with the reason.
`python -m tests.test_old_stores` prints them as they are now.
"""

import json
from pathlib import Path

import pytest

from pipeline.graph.plan import fingerprint, read_values
from pipeline.recipe import load, plain
from pipeline.verbs.planning import GRAPH

ROOT = Path(__file__).parents[1]
RECIPES = {path.relative_to(ROOT / "recipes").as_posix(): path for path in sorted((ROOT / "recipes").rglob("*.yaml"))}
STAGES = ("ingest", "shard", "train", "evaluate", "export")
PINNED: dict[str, tuple[str, ...]] = {
    "bccd-fasterrcnn-horfpn.yaml": ("2d2d2af9747b", "705299b0c500", "7905fde86c01", "89875e4f9208", "dcc80575c620"),
    "bccd-fasterrcnn.yaml": ("2d2d2af9747b", "705299b0c500", "2254666d1a97", "21b4295e3851", "180715cd5cd3"),
    "bccd-gnconv-yolov5n.yaml": ("2d2d2af9747b", "705299b0c500", "df0e1dcc97ca", "e914a069ab03", "31261da66d88"),
    "bccd-horblock-yolov5n.yaml": ("2d2d2af9747b", "705299b0c500", "de427a4726e6", "82aa1b960458", "e8fe0efa5a01"),
    "bccd-hornet-yolov5n.yaml": ("2d2d2af9747b", "705299b0c500", "2caaa560fff4", "eff08e7993fb", "c1f0fac61c23"),
    "bccd-ssd.yaml": ("2d2d2af9747b", "705299b0c500", "c1ccbf6d04e8", "9b7e576abbde", "d92ddd797b35"),
    "bccd-ssd300.yaml": ("2d2d2af9747b", "705299b0c500", "41d003ff7741", "8ee0cdea7ab7", "ab6177edc24f"),
    "bccd-yolov5n.yaml": ("2d2d2af9747b", "705299b0c500", "b52f128e1af7", "b3328161e854", "1706cb840afb"),
    "bsd100-dncnn.yaml": ("1dcc6741dfda", "926a35a01b79", "eb6e2fb9474a", "9517964e9f0c", "0b8113254857"),
    "bsd100-edsr.yaml": ("1dcc6741dfda", "926a35a01b79", "7a3a3b19fe9a", "ee88d1ac6f4a", "f8d3b2744e41"),
    "camvid-deeplabv1.yaml": ("96265f4cf399", "620907a2f204", "8fe6391084d5", "7bb69200b1ad", "2c3d6830fff4"),
    "camvid-deeplabv2-single.yaml": ("96265f4cf399", "620907a2f204", "1bd3400d1cc5", "ea9cc65b31cc", "28f62112bb82"),
    "camvid-deeplabv2.yaml": ("96265f4cf399", "620907a2f204", "e65b147cb371", "f0dbbb43e1a2", "03f98e24669d"),
    "camvid-deeplabv3.yaml": ("96265f4cf399", "620907a2f204", "2b3b06f8651d", "34d6b80504eb", "6ccadb952b71"),
    "camvid-deeplabv3plus.yaml": ("96265f4cf399", "620907a2f204", "ae8f53e93e61", "a1beefbbfe43", "f4cb72a0b025"),
    "camvid-fcn16s-chain.yaml": ("96265f4cf399", "620907a2f204", "163db1263c04", "0197584bc12b", "0b638c9359b6"),
    "camvid-fcn32s.yaml": ("96265f4cf399", "620907a2f204", "ed3ee87c8731", "d5440be79c8b", "e82dec69886b"),
    "camvid-fcn8s-chain.yaml": ("96265f4cf399", "620907a2f204", "fbc16cb80895", "de884b679d4e", "76bff7bc71e0"),
    "camvid-fcn8s.yaml": ("96265f4cf399", "620907a2f204", "f04d32af9e60", "77f3c1963fd9", "fd5b528b220b"),
    "camvid-gcn.yaml": ("96265f4cf399", "620907a2f204", "37dceb706d4f", "9ca0db0221c5", "ed473c343d08"),
    "camvid-pspnet.yaml": ("96265f4cf399", "620907a2f204", "c64c2a90cf42", "c517c57bf2ea", "a77c197e93a6"),
    "camvid-segnet.yaml": ("96265f4cf399", "620907a2f204", "c81cb08ea502", "3dc36f26cdc8", "bb7611adaf77"),
    "camvid-unet.yaml": ("96265f4cf399", "620907a2f204", "607524f84736", "ad909d1d728b", "d9354e7da5e8"),
    "camvid-upernet-horfpn.yaml": ("96265f4cf399", "620907a2f204", "f6cca7515618", "698f1adea85e", "73ef12f4a94f"),
    "camvid-upernet.yaml": ("96265f4cf399", "620907a2f204", "87282ecd3655", "058d25d098ed", "c8cb559767f8"),
    "cifar10-hornet.yaml": ("23d75c0277a5", "571785716639", "18d11772c447", "aa351abfa5ac", "df52196f4fab"),
    "cifar10-resnet.yaml": ("23d75c0277a5", "571785716639", "a5c50a7a3547", "74b7a475eed8", "c9f0c7d60126"),
    "digits-yolov5n.yaml": ("1fdd9ec108f1", "a093dc85b074", "0513043475d1", "367a55f9963f", "1115a228c0bf"),
    "hornet-ade20k.yaml": ("22297d842266", "14e82cadd80a", "6fc5a0be813e", "77ae1ac35f68", "2f7aec7c4b82"),
    "hornet-coco.yaml": ("ea52aceabfbc", "c7cf96d81191", "cd502e542ddd", "0d572dbd1faa", "718bf9aeda1c"),
    "hornet-imagenet-384.yaml": ("a34888590b35", "571785716639", "abea920d4be0", "7b791f3ca32b", "2ba86012e417"),
    "hornet-imagenet.yaml": ("a34888590b35", "571785716639", "f35e27dc5db8", "7e7d37401058", "217fe3315fe0"),
    "images.yaml": ("4670f8a62d6c", "571785716639", "335495ac98ed", "efb647b27f63", "bd4cf40188c7"),
    "lsp-pose.yaml": ("fdc9b354d5b7", "61a543938de8", "4615f4a883ae", "df066b7e7679", "4b3c7d0c271b"),
    "motion-eco.yaml": ("a61adbd8949e", "1fcbf2535e9e", "8f248d114391", "d7133182d828", "c751e51753be"),
    "motion-flow-alone.yaml": ("a61adbd8949e", "b7b795684b8c", "90e249c33329", "3a81a82a6398", "a5c5a489e1ba"),
    "motion-flow-late.yaml": ("a61adbd8949e", "b7b795684b8c", "d569dab9e131", "4aef91daa0bd", "2b60e327cf7d"),
    "motion-flow-mid.yaml": ("a61adbd8949e", "b7b795684b8c", "ef9af1492e8d", "1e699d95e1c5", "de715c109f0c"),
    "motion-flow-rgb.yaml": ("a61adbd8949e", "b7b795684b8c", "795635d1c87d", "b1f1fca9bd59", "fe8de9269cfd"),
    "motion-i3d.yaml": ("a61adbd8949e", "1fcbf2535e9e", "e029d8061e69", "d3714790b609", "2264f2bd3250"),
    "motion-r2plus1d.yaml": ("a61adbd8949e", "1fcbf2535e9e", "4d6419b8dcde", "1bea7874140f", "a4ba78cda86f"),
    "motion-slowfast.yaml": ("a61adbd8949e", "1fcbf2535e9e", "712c80d2c5da", "59b0fa0f5b10", "3029cc4330b9"),
    "motion-timesformer.yaml": ("a61adbd8949e", "1fcbf2535e9e", "11b3888c03c2", "b41e1e2ed064", "48be6487227b"),
    "motion-trn.yaml": ("a61adbd8949e", "1fcbf2535e9e", "7c21b3d1ab3c", "a2b32c290e3e", "808482f10e1e"),
    "motion-tsm-in-place.yaml": ("a61adbd8949e", "1fcbf2535e9e", "803dc186111b", "c7e028f7b969", "5262dce803f6"),
    "motion-tsm.yaml": ("a61adbd8949e", "1fcbf2535e9e", "13e3b2b4a8b3", "4d5f373ef463", "c9e000a0ba70"),
    "motion-tsn.yaml": ("a61adbd8949e", "1fcbf2535e9e", "795635d1c87d", "b1f1fca9bd59", "0419c7cce89a"),
    "moving-digits-online.yaml": ("66ea7606145a", "a4b75edf213b", "8ae4f86e2f1b", "e9d41c9af760", "7b7ac00964da"),
    "moving-digits-timesformer.yaml": ("66ea7606145a", "a4b75edf213b", "f8dbc20fb709", "f246314e8eb7", "59df8ebacb3a"),
    "moving-digits-tsn.yaml": ("66ea7606145a", "a4b75edf213b", "204ebb51ef6c", "337de23013ed", "786fa143958c"),
    "moving-digits.yaml": ("66ea7606145a", "a4b75edf213b", "470150bd61ee", "b82b9b7687de", "b0fae48bd9b5"),
    "nuclei-maskrcnn.yaml": ("a3467ef133d2", "a7c9c0407c60", "a30df0a8e6e1", "63776bde3d59", "2afa980e8ea7"),
    "nuclei-unet-paper.yaml": ("978796c52fa5", "53f19b03e559", "478efc0e6da6", "70f648ea7441", "aec345c92f51"),
    "nuclei-unet-plain.yaml": ("978796c52fa5", "53f19b03e559", "8a6fde28c2d9", "30bbf377205e", "06493e6d060a"),
    "nuclei-unet.yaml": ("978796c52fa5", "53f19b03e559", "540c961eaefe", "30bbf377205e", "06493e6d060a"),
    "quickstart-detection.yaml": ("1fdd9ec108f1", "a093dc85b074", "d4f08aa88730", "19c78b0c121b", "cc13c31b95b9"),
    "quickstart-images.yaml": ("629922d9bd9e", "2d0cfaafeb49", "6c6285a2dde8", "6c351f3b775f", "6f47bd6ae8e3"),
    "quickstart-instances.yaml": ("2f37737d92d3", "d7ff7898cc9d", "6757fba16728", "b1eede92699c", "001dec3d9a04"),
    "quickstart-keypoints.yaml": ("04cc4b48d052", "6247d2b6c4e8", "1842adc29884", "fdfe1b7c7a21", "8c5c8c3353ef"),
    "quickstart-segmentation.yaml": ("c3da5a44f3eb", "2ae8ca5315f3", "ca1d3f55cc83", "6bc41c487ee5", "e17017f6563c"),
    "quickstart-super-resolution.yaml": (
        "855a3ab96429",
        "fea431af5684",
        "b48099a60505",
        "6e026dcd1154",
        "6ad8901f02b5",
    ),
    "quickstart-tsn.yaml": ("f24ae61aa4bc", "98ca51814aed", "076960c1d078", "de644f82a54c", "53841aa4cc4d"),
    "quickstart.yaml": ("f24ae61aa4bc", "98ca51814aed", "108cb2ef3bad", "87d5b12d4136", "277eaf9e2d8f"),
    "segmentation.yaml": ("b2d701a64a1d", "f7beb04b5878", "2f9bbc3e3618", "d5a71b23c1fd", "bc4c67580f06"),
    "table-images.yaml": ("3f2750ca8ccc", "571785716639", "335495ac98ed", "efb647b27f63", "bd4cf40188c7"),
    "table-multilabel.yaml": ("ff5622d44f3c", "fbe8a5269f6e", "b0b3e4c6b1d0", "e6f0a60ec1f0", "f429ec716a28"),
    "table.yaml": ("cf98b24ed5dc", "8e88a332574f", "dbead33fbb42", "df7675171e98", "622899d14727"),
    "timesformer-kinetics.yaml": ("5367ac7b7cd9", "667a17f2b660", "a2a1e5c28f08", "0fa17e5047a5", "1ce47a63fb8a"),
    "timesformer-minutes.yaml": ("e09831fbefd4", "667a17f2b660", "93ea8d3a394f", "387df7750294", "7c8928d3013d"),
    "tricks/autoaugment.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "98518fb90b69", "743f158bd642", "ce3652e39f1b"),
    "tricks/baseline.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "bfcad02c26c2", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/cosine.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "be85c949fed0", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/distillation.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "81cab31ec4ed", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/few-mixup.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "54acb13c499f", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/few-ricap.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "67a16a1438bf", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/few.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "72892aaf6671", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/label-smoothing.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "210fffd11768", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/mixup.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "12d430963e35", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/policy-search.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "be85c949fed0", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/ricap.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "c42458fdef8f", "74b7a475eed8", "ce3652e39f1b"),
    "tricks/teacher.yaml": ("cb97fcc6bc45", "c26ed1f5bd78", "47136b080c34", "b8e550484735", "a2d7a939ea85"),
    "tsm-kinetics.yaml": ("5367ac7b7cd9", "0820dc308e7b", "e5bd6656cc25", "d0daefc6acbf", "5213747413d6"),
    "tsm-something.yaml": ("c58b118f6f32", "0820dc308e7b", "ffbc717a51f4", "787d3701b724", "5213747413d6"),
    "tsn-kinetics.yaml": ("5367ac7b7cd9", "0820dc308e7b", "1ae8e7094526", "69cdf2bf0747", "9dfb66a65ee9"),
    "tune-policy.yaml": ("629922d9bd9e", "2d0cfaafeb49", "1d8ef64fe20d", "3fb47536b645", "6f47bd6ae8e3"),
    "tune-quickstart.yaml": ("629922d9bd9e", "2d0cfaafeb49", "515d472c2dd1", "6c351f3b775f", "6f47bd6ae8e3"),
    "videos.yaml": ("31635d55403c", "8e88a332574f", "dbead33fbb42", "df7675171e98", "622899d14727"),
}


def fingerprints(path: Path) -> tuple[str, ...]:
    """The first 12 digits of each stage's, with inputs and a source's listing of given digests, paths made relative."""
    text = json.dumps(plain(load(path))).replace(str(ROOT), "ROOT").replace(str(Path.home()), "HOME")
    values = json.loads(text)
    found = []
    for stage in GRAPH.order:
        digests = {name: f"digest of {name}" for name in stage.inputs}
        outside = "listing" if stage.outside and stage.name != "shard" else None  # of whose flow nothing lies apart
        found.append(fingerprint(stage, read_values(stage, values), digests, outside)[:12])
    return tuple(found)


def test_the_stages_are_the_same() -> None:
    assert tuple(stage.name for stage in GRAPH.order) == STAGES


def test_every_recipe_is_pinned() -> None:
    assert PINNED.keys() == RECIPES.keys()


@pytest.mark.parametrize("name", PINNED)
def test_fingerprints(name: str) -> None:
    assert dict(zip(STAGES, fingerprints(RECIPES[name]), strict=True)) == dict(zip(STAGES, PINNED[name], strict=True))


if __name__ == "__main__":
    for name, path in RECIPES.items():
        print(f'    "{name}": {json.dumps(fingerprints(path)).replace("[", "(").replace("]", ")")},')
