"""Candidate policies from optuna's TPE, one after the other, so that the same seed and scores give the same ones."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from augment.policy import Policy
from pipeline.base.keyed import seed64
from pipeline.shards.file_io import write_bytes
from tune.policy.space import OPERATIONS, Space, Vector

STARTUP = 20
"""Candidates that are drawn evenly first, as HyperOpt does, which the authors use."""


@dataclass(frozen=True)
class Candidate:
    """A policy, as the search's vector, and what it scored: top-1 0..1, and the mean loss in nats."""

    number: int
    vector: Vector
    top1: float
    loss: float


def search(
    space: Space,
    score: Callable[[Policy], tuple[float, float]],
    count: int,
    key: Sequence[int | str],
    known: Sequence[Candidate] = (),
) -> Iterator[Candidate]:
    """Propose and score `count` policies; `score` gives top-1 and loss.

    `known` are the first ones of an earlier, interrupted search of the same key: they are proposed again, since
    proposals follow from the key and the scores so far, and are not scored again. All are yielded.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed64("tpe", *key) % 2**32)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    unit = optuna.distributions.FloatDistribution(0, 1)
    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for place in space.places:
        distributions[f"operation_{place}"] = optuna.distributions.CategoricalDistribution(OPERATIONS)
        distributions |= {f"probability_{place}": unit, f"strength_{place}": unit}
    for number in range(count):
        trial = study.ask(distributions)
        vector: Vector = dict(trial.params)
        if number < len(known) and known[number].vector == vector:
            candidate = known[number]
        else:
            top1, loss = score(space.decode(vector))
            candidate = Candidate(number, vector, top1, loss)
        study.tell(trial, candidate.top1)
        yield candidate


def best(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Return the best ones first; of equals the earlier one."""
    return sorted(candidates, key=lambda one: (-one.top1, one.loss, one.number))[:count]


def write_log(path: Path, candidates: Sequence[Candidate]) -> None:
    """Write the candidates so far, a line each; the file is whole at any time, however its writer ends."""
    write_bytes(path, "".join(json.dumps(asdict(one)) + "\n" for one in candidates).encode())


def read_log(path: Path) -> list[Candidate]:
    """Return what `write_log` has written; nothing when it has not."""
    return [Candidate(**json.loads(line)) for line in path.read_text().splitlines()] if path.is_file() else []
