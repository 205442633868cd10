"""What tells runs of a store apart: the score of each, and the recipe values in which it differs from its like."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.base.errors import cut
from pipeline.graph.plan import leaves
from pipeline.store.artifact import Holding, Record
from pipeline.tasks import TASKS
from pipeline.tasks.base import score_words

MOST_KEYS = 4
LONGEST = 30
"""Characters of a value that are shown."""
Manifests = Mapping[str, Mapping[str, Any]]


def manifests_of(holdings: Sequence[Holding]) -> Manifests:
    """Map each fingerprint -> the manifest of its artifact."""
    return {holding.fingerprint: holding.manifest for holding in holdings if holding.manifest}


def score(record: Record, manifests: Manifests) -> str:
    """Return what the run's evaluation says, as in "top-1 71.4% on test"; "" where there is none, or of an own task."""
    evaluated = _manifest(record, "evaluate", manifests)
    section = evaluated.get("values", {}).get("task", {})
    known, facts = TASKS.get(str(section.get("kind"))), evaluated.get("facts", {})
    if known is None:
        return ""
    task = known.worded(section)
    return score_words(task, facts) if task.headline.metric in facts else ""


def measured(record: Record, manifests: Manifests) -> dict[str, float]:
    """Return the metrics of the run's evaluation, by their names; empty where there is none."""
    facts = _manifest(record, "evaluate", manifests).get("facts", {})
    return {name: value for name, value in facts.items() if isinstance(value, float)}


def differences(records: Sequence[Record], manifests: Manifests) -> dict[str, str]:
    """Map each run's name -> the few values that are not the same in all runs of the recipe of its name."""
    alike: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        alike[record.content.get("name")].append(record)
    found = {}
    for runs in alike.values():
        values = {record.name: _values(record, manifests) for record in runs}
        texts: dict[str, set[str]] = defaultdict(set)
        for one in values.values():
            for key, text in one.items():
                texts[key].add(text)
        # A kind says more than the options that come with it.
        telling = sorted((key for key in texts if len(texts[key]) > 1), key=lambda key: not key.endswith("kind"))
        for name, one in values.items():
            shown = [f"{key}={cut(one[key], LONGEST)}" for key in telling if key in one]
            more = [f"and {len(shown) - MOST_KEYS} more"] if len(shown) > MOST_KEYS else []
            found[name] = ", ".join([*shown[:MOST_KEYS], *more])
    return found


def _values(record: Record, manifests: Manifests) -> dict[str, str]:
    """Return the recipe's values as far as artifacts tell, by their dotted keys."""
    found: dict[str, str] = {}
    for stage in record.content.get("stages", {}):
        found |= {key: str(value) for key, value in leaves(_manifest(record, stage, manifests).get("values", {}))}
    return found


def _manifest(record: Record, stage: str, manifests: Manifests) -> Mapping[str, Any]:
    return manifests.get(record.content.get("stages", {}).get(stage, {}).get("fingerprint"), {})
