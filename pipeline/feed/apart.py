"""Work on foreign files in a process that can be ended: decoders hang on some, crash on others, or want all memory.

A task of Ray keeps such a process for its further calls. What the calls return comes back one by one, so the process
works on the next sample while this one packs the last.
"""

import resource
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

from pipeline.base.alive import listen
from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import MAX_SAMPLE_MEMORY_BYTES, BadSample
from pipeline.feed import processes

Result = TypeVar("Result")

START_S = 300.0
"""What a process may take to start, which on a busy machine says nothing about the sample."""
SIGN_S = 0.2
"""A process shows no more than one sign of life in this time."""
_idle: list[tuple[Any, Connection]] = []
"""Processes that wait for work, and the pipes to them."""


def each_apart(
    function: Callable[..., Result],
    arguments: Sequence[tuple[Any, ...]],
    timeout_s: float,
    context: Any = None,
) -> Iterator[Result | ZoetropeError]:
    """Call `function(*a)` for each `a`, in order, in another process; a ZoetropeError that it raises is returned.

    BadSample stands for a call that took longer than `timeout_s`, counted from its start or its last sign of life, or
    at which the process died, each in two tries. Threads may call it side by side. `context`: of multiprocessing, in
    which a new process is started, by default `light_context`. Raises RuntimeError, with the traceback, for an error
    of our own code.
    """
    done, tries = 0, 0
    while done < len(arguments):
        try:
            process, pipe = _idle.pop()
        except IndexError:
            process, pipe = processes.start(_serve, context=context or processes.light_context())
        lost = ""
        try:
            pipe.send((function, arguments[done:]))
            limit_s = START_S
            while done < len(arguments) and not lost:
                if not pipe.poll(limit_s):
                    lost, most = f"took longer than feed.timeout_s = {timeout_s:g} s", processes.MOST_TRIES
                elif answer := pipe.recv():
                    yield _opened(answer[0])
                    done, tries = done + 1, 0
                limit_s = timeout_s
        except (EOFError, OSError):
            process.join(timeout=5)
            lost, most = f"died (exit code {process.exitcode})", processes.most_tries(process.exitcode)
        finally:
            if done == len(arguments) and not lost:
                _idle.append((process, pipe))
            else:
                process.kill()
                pipe.close()
        if lost:
            tries += 1
            if tries == most:
                yield BadSample(f"its decoder {lost}, {tries} times")
                done, tries = done + 1, 0


class _Failure(str):
    """The traceback of an error of our own code."""


def _opened(answer: Any) -> Any:
    if isinstance(answer, _Failure):
        raise RuntimeError(f"a process that decodes samples failed:\n{answer}")
    return answer


def _serve(pipe: Connection) -> None:
    """Answer each call with a tuple of one; an empty tuple is a sign of life, also that the calls have come."""
    threading.Thread(target=processes.end_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_SAMPLE_MEMORY_BYTES, resource.RLIM_INFINITY))
    last_s = time.monotonic()

    def sign() -> None:
        nonlocal last_s
        if time.monotonic() - last_s > SIGN_S:
            pipe.send(())
            last_s = time.monotonic()

    listen(sign)
    with suppress(EOFError, OSError, KeyboardInterrupt):  # the work was given up
        while True:
            function, arguments = pipe.recv()
            pipe.send(())
            for each in arguments:
                pipe.send_bytes(_answer(function, each))


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> memoryview:
    """Return what the call returned or raised, in a tuple, pickled: that takes memory, too, and may fail."""
    try:
        try:
            return ForkingPickler.dumps((function(*arguments),))
        except ZoetropeError as error:
            return ForkingPickler.dumps((error,))
    except MemoryError:
        why = f"decoding it takes more than {MAX_SAMPLE_MEMORY_BYTES >> 30} GiB of memory"
        return ForkingPickler.dumps((BadSample(why),))
    except Exception:
        return ForkingPickler.dumps((_Failure(traceback.format_exc()),))
