"""The published policies are whole; a policy of one's own is checked, with every fault in one line."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from augment.policy import PUBLISHED, inline, load_policy
from pipeline.base.errors import ZoetropeError


def test_published_policies() -> None:
    assert PUBLISHED == ("cifar10", "imagenet", "svhn")
    policies = {name: load_policy(name) for name in PUBLISHED}
    assert {len(policy) for policy in policies.values()} == {25}
    assert {len(sub) for policy in policies.values() for sub in policy} == {2}
    distinct = {name: len({tuple(sub) for sub in policy}) for name, policy in policies.items()}
    assert distinct == {"cifar10": 25, "imagenet": 20, "svhn": 23}
    assert policies["imagenet"][0] == [("Posterize", 0.4, 8), ("Rotate", 0.6, 9)]
    assert policies["imagenet"][17] == [("Sharpness", 0.4, 7), ("Invert", 0.6, None)]
    assert policies["cifar10"][2] == [("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)]
    assert policies["cifar10"][24] == [("TranslateY", 0.7, 9), ("AutoContrast", 0.9, None)]
    assert policies["svhn"][9] == [("Equalize", 0.6, None), ("Rotate", 0.9, 3)]
    assert policies["svhn"][24] == [("ShearX", 0.7, 2), ("Invert", 0.1, None)]


@pytest.mark.parametrize(
    ("name", "digest"),
    [("imagenet", "22de9419db97407686dc"), ("cifar10", "2d0cae059d60309ba604"), ("svhn", "6b5bda3fc9e5fe52605c")],
)
def test_published_policies_are_those_that_were_compared_with_the_tables(name: str, digest: str) -> None:
    assert sha256(json.dumps(load_policy(name)).encode()).hexdigest().startswith(digest)


def test_files_of_ones_own(tmp_path: Path) -> None:
    policy = [[["Rotate", 0.5, 2.5], ["Invert", 1, None]], [["Cutout", 0, 0]]]
    (tmp_path / "mine.json").write_text(json.dumps(policy))
    (tmp_path / "mine.yaml").write_text("- - [Rotate, 0.5, 2.5]\n  - [Invert, 1, null]\n- [[Cutout, 0, 0]]\n")
    expected = [[("Rotate", 0.5, 2.5), ("Invert", 1, None)], [("Cutout", 0, 0)]]
    assert load_policy(tmp_path / "mine.json") == load_policy(str(tmp_path / "mine.yaml")) == expected
    assert load_policy(policy) == expected


@pytest.mark.parametrize(
    ("policy", "lines"),
    [
        ([], ["policy: must be a list of 1 to 1000 sub-policies, not []"]),
        ({"a": 1}, ["policy: must be a list of 1 to 1000 sub-policies, not {'a': 1}"]),
        ([[]], ["policy[0]: must be a list of 1 to 10 operations, not []"]),
        (
            [["Rotate", 0.5, 3]],
            [
                "policy[0][0]: must be [operation, probability, magnitude or null], not 'Rotate'",
                "policy[0][1]: must be [operation, probability, magnitude or null], not 0.5",
                "policy[0][2]: must be [operation, probability, magnitude or null], not 3",
            ],
        ),
        ([[["Rotat", 0.5, 3]]], ["policy[0][0]: unknown operation 'Rotat'; did you mean 'Rotate'"]),
        (
            [[["Rotate", 1.5, 3], ["Invert", 1, 4]], [["Color", True, None]]],
            [
                "policy[0][0]: Rotate's probability must be a number from 0 to 1, not 1.5",
                "policy[0][1]: Invert has no magnitude; write null, not 4",
                "policy[1][0]: Color's probability must be a number from 0 to 1, not True",
                "policy[1][0]: Color's magnitude must be a number from 0 to 9, not None",
            ],
        ),
        ([[["Color", float("nan"), 10]]], ["policy[0][0]: Color's probability", "policy[0][0]: Color's magnitude"]),
        ([[["SamplePairing", 0.5, 3]]], ["policy[0][0]: SamplePairing needs another sample; it is a way of mixing"]),
        ("cifar", ["unknown policy 'cifar'; did you mean 'cifar10'?; or a file that ends in .json or .yaml"]),
        ("none.json", ["cannot read the policy none.json: No such file or directory"]),
    ],
)
def test_faults(policy: Any, lines: list[str]) -> None:
    with pytest.raises(ZoetropeError) as error:
        load_policy(policy)
    found = str(error.value).splitlines()
    assert len(found) == len(lines), found
    assert all(got.startswith(expected) for got, expected in zip(found, lines, strict=True)), found


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"[[", "is not valid json"),
        ("a.json", b"[" * 100_000, "is not valid json"),
        ("a.yaml", b"!!python/object/apply:os.system [ls]", "is not valid yaml"),
        ("a.yaml", b"\xff\xfe\x00", "is not valid yaml"),
        ("a.json", b" " * 1_000_001, "is larger than 1,000,000 bytes"),
        ("a.yaml", b"a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]", "is not valid yaml: aliases"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ZoetropeError, match=message):
        load_policy(tmp_path / name)


def test_inline_puts_files_into_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("[[[Invert, 1, null]]]")
    spec = [
        {"HorizontalFlip": {}},
        {"AutoAugment": {"policy": "mine.yaml", "p": 0.5}},
        {"AutoAugment": {"policy": "svhn"}},
        {"OneOf": {"transforms": [{"AutoAugment": {"policy": "mine.yaml"}}, {"Blur": None}]}},
        "nonsense is for the check of the spec",
    ]
    held = {"policy": [[["Invert", 1, None]]]}
    assert inline(spec, tmp_path) == [
        {"HorizontalFlip": {}},
        {"AutoAugment": {**held, "p": 0.5}},
        {"AutoAugment": {"policy": "svhn"}},
        {"OneOf": {"transforms": [{"AutoAugment": held}, {"Blur": None}]}},
        "nonsense is for the check of the spec",
    ]
    assert spec[1] == {"AutoAugment": {"policy": "mine.yaml", "p": 0.5}}, "the input was changed"
