"""Augmentation policies as data: which operations, with which probability, how strong.

A policy is a list of sub-policies, one of which is drawn for each sample. A sub-policy is a list of
`[operation, probability 0..1, magnitude 0..9 or null]`, which run one after another. `policies/*.json` hold the
published ones; a file of one's own is JSON or YAML of the same form.

A schedule is a list of `[epoch, steps]`: the steps that are drawn from, from that epoch on, counted from 0.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any

from augment.magnitudes import MAGNITUDES
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.files import read_small
from pipeline.base.plain_yaml import parse_yaml

PolicyStep = tuple[str, float, float | None]
Policy = list[list[PolicyStep]]
Schedule = list[tuple[float, list[PolicyStep]]]

MAX_MAGNITUDE = 9
_FOLDER = Path(__file__).parent / "policies"
PUBLISHED = tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))
_SUFFIXES = (".json", ".yaml", ".yml")
_MAX_BYTES, _MAX_SUB_POLICIES, _MAX_STEPS = 1_000_000, 1000, 10
_MAX_DRAWN = 100


def load_policy(policy: str | Path | Sequence[Any]) -> Policy:
    """Load a published policy by its name, a policy file by its path, or a list as it is; checked.

    Raises `ZoetropeError` with one line for each fault.
    """
    if isinstance(policy, str) and policy in PUBLISHED:
        return _checked(json.loads((_FOLDER / f"{policy}.json").read_text()), policy)
    if isinstance(policy, str | Path):
        if Path(policy).suffix not in _SUFFIXES:
            raise ZoetropeError(f"{unknown('policy', str(policy), PUBLISHED)}; or a file that ends in .json or .yaml")
        return _checked(_read(Path(policy)), str(policy))
    return _checked(policy, "policy")


def load_schedule(schedule: str | Path | Sequence[Any]) -> Schedule:
    """Load a schedule file by its path, or a list as it is; checked.

    Raises `ZoetropeError` with a line for each fault.
    """
    if not isinstance(schedule, str | Path):
        return _checked_schedule(schedule, "schedule")
    if Path(schedule).suffix not in _SUFFIXES:
        raise ZoetropeError(f"schedule: must be a file that ends in .json or .yaml, not {str(schedule)!r}")
    return _checked_schedule(_read(Path(schedule)), str(schedule))


def inline(spec: Sequence[Any], folder: Path) -> list[Any]:
    """Return a list of transforms in which files of policies and schedules are replaced by what they hold.

    Their paths are relative to `folder`.

    So the recipe that is fingerprinted, stored and sent to other machines holds the policy itself.
    """
    return [_inline(entry, folder) for entry in spec]


def _inline(entry: Any, folder: Path) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    result = {}
    for name, params in entry.items():
        if isinstance(params, Mapping):
            policy, children = params.get("policy"), params.get("transforms")
            if isinstance(policy, str) and policy.endswith(_SUFFIXES):
                params = {**params, "policy": [[list(step) for step in sub] for sub in load_policy(folder / policy)]}
            schedule = params.get("schedule")
            if isinstance(schedule, str) and schedule.endswith(_SUFFIXES):
                held = [[epoch, [list(step) for step in steps]] for epoch, steps in load_schedule(folder / schedule)]
                params = {**params, "schedule": held}
            if isinstance(children, Sequence) and not isinstance(children, str):
                params = {**params, "transforms": inline(children, folder)}
        result[name] = params
    return result


def _read(path: Path) -> Any:
    try:
        data = read_small(path, _MAX_BYTES)
    except OSError as error:
        raise ZoetropeError(f"cannot read the policy {path}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise ZoetropeError(f"the policy {path} is larger than {_MAX_BYTES:,} bytes, so it is no policy")
    try:
        return json.loads(data) if path.suffix == ".json" else parse_yaml(data.decode())
    except (ValueError, RecursionError) as error:
        raise ZoetropeError(f"the policy {path} is not valid {path.suffix[1:]}: {error}") from error


def _checked(data: Any, where: str) -> Policy:
    errors: list[str] = []
    policy: Policy = []
    if not _is_list(data, _MAX_SUB_POLICIES):
        errors.append(f"{where}: must be a list of 1 to {_MAX_SUB_POLICIES} sub-policies, not {short(data)}")
        data = []
    for i, sub in enumerate(data):
        if not _is_list(sub, _MAX_STEPS):
            errors.append(f"{where}[{i}]: must be a list of 1 to {_MAX_STEPS} operations, not {short(sub)}")
            continue
        for j, step in enumerate(sub):
            errors += [f"{where}[{i}][{j}]: {line}" for line in _faults(step)]
        policy.append([tuple(step) for step in sub if isinstance(step, Sequence)])
    if errors:
        raise ZoetropeError("\n".join(errors))
    return policy


def _checked_schedule(data: Any, where: str) -> Schedule:
    errors: list[str] = []
    schedule: Schedule = []
    if not _is_list(data, _MAX_SUB_POLICIES):
        raise ZoetropeError(f"{where}: must be a list of [epoch, [operations]], not {short(data)}")
    for i, entry in enumerate(data):
        if not _is_list(entry, 2) or len(entry) != 2 or not _is_list(entry[1], _MAX_DRAWN):
            errors.append(f"{where}[{i}]: must be [epoch, [1 to {_MAX_DRAWN} operations]], not {short(entry)}")
            continue
        epoch, steps = entry
        before = schedule[-1][0] if schedule else -1
        if not _is_number(epoch, 1e9) or epoch <= before or (i == 0 and epoch != 0):
            errors.append(f"{where}[{i}]: epochs begin with 0 and grow, and here is {short(epoch)}")
            continue
        for j, step in enumerate(steps):
            errors += [f"{where}[{i}][{j}]: {line}" for line in _faults(step)]
        schedule.append((epoch, [tuple(step) for step in steps if isinstance(step, Sequence)]))
    if errors:
        raise ZoetropeError("\n".join(errors))
    return schedule


def _is_list(data: Any, most: int) -> bool:
    return isinstance(data, Sequence) and not isinstance(data, str) and 1 <= len(data) <= most


def _faults(step: Any) -> list[str]:
    if not _is_list(step, 3) or len(step) != 3 or not isinstance(step[0], str):
        return [f"must be [operation, probability, magnitude or null], not {short(step)}"]
    name, probability, magnitude = step
    if name == "SamplePairing":
        return ["SamplePairing needs another sample; it is a way of mixing a batch: mixing: {kind: sample_pairing}"]
    if name not in MAGNITUDES:
        return [unknown("operation", name, MAGNITUDES)]
    lines = []
    if not _is_number(probability, 1):
        lines.append(f"{name}'s probability must be a number from 0 to 1, not {short(probability)}")
    if MAGNITUDES[name] is None and magnitude is not None:
        lines.append(f"{name} has no magnitude; write null, not {short(magnitude)}")
    if MAGNITUDES[name] is not None and not _is_number(magnitude, MAX_MAGNITUDE):
        lines.append(f"{name}'s magnitude must be a number from 0 to {MAX_MAGNITUDE}, not {short(magnitude)}")
    return lines


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
