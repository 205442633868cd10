"""Batches from Ray actors, `feed: {kind: remote}`: the same ones, in the same order, as from a local feed.

Actor i of n makes every n-th batch, from the i-th on. A bounded number is asked for ahead; what was made waits in the
object store of this node, until it is taken. A batch is a pure function of the step, so when an actor is lost or
another one joins, the actors that are there share what is left anew, and what was not taken yet is made again.
"""

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.feed_actor import Made, Maker
from pipeline.feed.bad_samples import Bad, check_bad
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import Batch
from pipeline.feed.ring import slot_bytes
from pipeline.recipe.schema import RemoteFeed as Options

START_S = 10.0
"""So long the first batch waits for all actors to start; those that start later join."""
SAY_S = 30.0
MOST_LOST = 5


class Actors:
    """The actors of one training process, from which all of its feeds take batches; `close()` ends them.

    They end by themselves when this process does, however it ends.
    """

    def __init__(self, options: Options, say: Callable[[str], None], beside: int) -> None:
        """Ask for the actors. `beside`: processes on this node that have feeds, and share its object store."""
        # Arrays that lie in the object store are read-only, and torch warns of any such. Nobody writes to a batch, and
        # so it need not be copied.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        self.options, self.say, self.beside = options, say, beside
        own: dict[str, float] = {options.resource: options.workers} if options.resource else {}
        # With a strategy of their own, or they would be put where the training workers are.
        self.remote: Any = ray.remote(num_cpus=options.workers, resources=own, scheduling_strategy="SPREAD")(Maker)
        self.keys = count()
        self.until_s = time.monotonic() + START_S
        self.starting: dict[Any, Any] = {}  # what they answer once they have started -> actor
        self.started: list[Any] = []
        self.lost_in_a_row = 0
        for _ in range(options.actors):
            self._start()

    def feed(self, source: BatchSource, steps: range, bad: Bad) -> "RemoteFeed":
        """Return a feed of these steps. ZoetropeError when its batches are too large for this node's object store."""
        self._check_room(source)
        return RemoteFeed(self, source, steps, bad)

    def there(self) -> list[Any]:
        """Return the actors that have started: at first all, after a while those that there are.

        Waits until there is one.
        """
        reported = False
        while self.starting:
            left_s = self.until_s - time.monotonic()
            for_all = left_s > 0
            timeout_s = left_s if for_all else 0 if self.started else SAY_S
            done, _ = ray.wait(list(self.starting), num_returns=len(self.starting) if for_all else 1, timeout=timeout_s)
            for answer in done:
                actor = self.starting.pop(answer)
                try:
                    ray.get(answer)
                    self.started.append(actor)
                except RayError as error:
                    self.lost(actor, error)
            if self.started and time.monotonic() > self.until_s:
                break
            if not done and not reported:
                on = f" and {self.options.resource}" if self.options.resource else ""
                self.say(f"feed: waits for an actor to start; each takes {self.options.workers} CPUs{on} of a node")
                reported = True
        return self.started

    def lost(self, actor: Any, error: Exception) -> None:
        """Ask for another actor in place of one. ZoetropeError when too many were lost and none made a batch."""
        self.lost_in_a_row += 1
        if self.lost_in_a_row >= MOST_LOST * self.options.actors:
            last = str(error).strip().splitlines()[-1].strip()
            raise ZoetropeError(
                f"actors of the feed were lost {self.lost_in_a_row} times in a row, and none has made a batch. The "
                f"last one: {last} Is there enough memory there? Lower feed.workers, or set feed.kind to local."
            ) from error
        ray.kill(actor)
        if actor in self.started:
            self.started.remove(actor)
        self._start()

    def close(self) -> None:
        """End them all; what is being made is given up."""
        for actor in [*self.started, *self.starting.values()]:
            ray.kill(actor)
        self.started, self.starting = [], {}

    def _start(self) -> None:
        actor = self.remote.remote(self.say)
        self.starting[actor.ready.remote()] = actor

    def _check_room(self, source: BatchSource) -> None:
        node = ray.get_runtime_context().get_node_id()
        has = next(n["Resources"].get("object_store_memory", 0) for n in ray.nodes() if n["NodeID"] == node)
        # One more, which is read; and in the midst of a training those of its evaluation.
        batches = (1 + source.training) * (self.options.in_flight + 1)
        needed = self.beside * batches * slot_bytes(source.layout())
        if needed > has:
            raise ZoetropeError(
                f"the feed's batches need {needed / 2**20:.0f} MiB of Ray's object store on a node with {self.beside} "
                f"training workers, and it has {has / 2**20:.0f} MiB. Lower feed.in_flight or train.batch_size, or "
                "give it more (ray start --object-store-memory=...)."
            )


class RemoteFeed:
    """Iterates over the batches of `steps` as `LocalFeed` does; its arrays are read-only.

    `bad` grows with what the actors find; ZoetropeError when it grows beyond the recipe's `data.max_bad`, and for what
    they raise in words.
    """

    def __init__(self, actors: Actors, source: BatchSource, steps: range, bad: Bad) -> None:
        self.actors, self.source, self.rest, self.bad = actors, source, steps, bad
        self._check_bad()
        self.agreed = set(bad)
        self.waited_s = 0.0
        self.key = next(actors.keys)
        self.sent = ray.put(source)
        self.open: deque[tuple[Any, Any]] = deque()  # (actor, the call's answer) of the next batches
        self.makers: list[Any] = []

    def __iter__(self) -> Iterator[Batch]:
        while self.rest:
            began_s = time.perf_counter()
            made = self._next()
            self.rest = self.rest[1:]
            for sample in made.bad.keys() - self.bad.keys():
                self.bad[sample] = made.bad[sample]
            self._check_bad()
            self.waited_s += time.perf_counter() - began_s
            yield Batch(made.arrays, made.samples)

    def apply_bad(self) -> None:
        """Make all batches behind the last one with `bad` as it is now, those again that were made ahead without."""
        self._check_bad()
        if set(self.bad) != self.agreed:
            self.makers = []
        self.agreed = set(self.bad)

    def close(self) -> None:
        """Let the actors end this feed's processes."""
        for actor in self.makers:
            actor.end.remote(self.key)
        self.open.clear()

    def _next(self) -> Made:
        while True:
            there = self.actors.there()
            if self.makers != there:
                self._begin(there)
            self._ask()
            answers = [answer for _, answer in self.open]
            ray.wait(answers, num_returns=len(answers), timeout=0)  # has all of them brought to this node
            try:
                made: Made = ray.get(answers[0])
            except RayError as error:
                cause = error.cause if isinstance(error, RayTaskError) else None
                if isinstance(cause, ZoetropeError):
                    raise cause from None
                # Ray kills an actor's processes before the actor, which may still get to say what that does to it.
                self.actors.lost(self.open[0][0], error)
                continue
            self.open.popleft()
            self.actors.lost_in_a_row = 0
            return made

    def _begin(self, makers: list[Any]) -> None:
        """Let these actors share the batches that are left."""
        self.makers = list(makers)
        self.known_bad = [0] * len(makers)
        self.open.clear()
        self.left, self.asked = self.rest, 0

    def _ask(self) -> None:
        """Ask for the next batches, in turns, as long as there is room."""
        n = len(self.makers)
        while len(self.open) < self.actors.options.in_flight and self.asked < len(self.left):
            i = self.asked % n
            news = dict(islice(self.bad.items(), self.known_bad[i], None))
            self.known_bad[i] = len(self.bad)
            begin = (self.sent, self.left[i::n]) if self.asked < n else ()
            self.open.append((self.makers[i], self.makers[i].take.remote(self.key, news, *begin)))
            self.asked += 1

    def _check_bad(self) -> None:
        check_bad(self.bad, self.source.recipe.data.max_bad, self.source.dataset, self.source.split)
