"""Fork a process for each that asks to be one, see `pipeline.base.forks`.

    python server.py SOCKET [at-once]

`at-once`: its imports begin before the first one asks.

What it has imported are no modules of Ray, whose library reads the environment while it is loaded, and not decord:
with decord's symbols there before Ray's, asynchronous actors crash ("random_device could not be read").
"""

import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import traceback
from contextlib import suppress
from importlib.machinery import PathFinder
from typing import Any, NoReturn, TextIO

from pipeline.base.forks import HOOK, ROOT, started

CLIENT = "pipeline.tracking.client"
MODULES = (
    CLIENT,  # imports MLflow as it is to be imported
    "torch._dynamo",
    "pandas",
    "pyarrow",
    "scipy.optimize",
    "matplotlib.figure",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "webdataset",
    "albumentations",
    "av",
    "pipeline.recipe.validate",
    "pipeline.training.loop",
    "models.resnet",
    "models.tsm",
)
OURS = ("pipeline", "models", "augment", "tune", "tests")
LONGEST = 1 << 20
OOM_SCORE = "RAY_worker_oom_score_adjustment"
"""Ray's own spelling."""


def serve(path: str, at_once: bool) -> None:
    """Answer until the standard input ends, as it does with the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for that one
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how forks ended
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server, open(path + ".forks", "w") as forks:
        server.bind(path)
        server.listen(64)
        if at_once:
            prepare()
        while server in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            with connection, suppress(OSError, ValueError):  # who asked may have ended
                answer(server, connection, forks)
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)  # who made it was killed


def answer(server: socket.socket, connection: socket.socket, forks: TextIO) -> None:
    """Fork the process that is asked for, and note its number, when it started and its raylet's number."""
    data, fds, _, _ = socket.recv_fds(connection, LONGEST, 5)
    asked = json.loads(data)
    prepare()
    if not (pid := os.fork()):
        server.close()
        become(asked, fds, connection)
    for fd in fds:
        os.close(fd)
    print(pid, started(pid), asked["environ"].get("RAY_RAYLET_PID", "-"), file=forks, flush=True)
    connection.send(b".")


def prepare() -> None:
    """Import all, the first time."""
    if not gc.get_freeze_count():
        for name in MODULES:
            importlib.import_module(name)
            if name == CLIENT:
                sys.modules[name].quiet()
        assert not {"ray", "decord"} & sys.modules.keys()
        gc.freeze()  # collections in forks would copy every page


def become(asked: dict[str, Any], fds: list[int], connection: socket.socket) -> NoReturn:
    """Go on as the process that asked; the connection stays open where that one waits for the end of this."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wanted, serves = asked["fds"], asked["argv"][-2:-1] == ["-c"]
    free = max(connection.fileno(), *fds, *wanted) + 1
    apart = [fcntl.fcntl(fd, fcntl.F_DUPFD, free) for fd in fds]  # none has a number that another one is to get
    if serves:
        fcntl.fcntl(connection.fileno(), fcntl.F_DUPFD, free)  # open until this process ends
    for received in (*fds, connection.detach()):
        os.close(received)
    for number, fd in zip(wanted, apart, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(asked["environ"])
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        # The raylet has set it for the process that asked: where memory runs out, workers are to go first.
        score.write(os.environ.get(OOM_SCORE, "1000"))
    os.chdir(asked["cwd"])
    sys.argv[:], sys.path[:] = asked["argv"], asked["path"]
    if sys.path[0] != str(ROOT):  # it may have another copy of our code
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
    code = 0
    try:
        customize()
        if serves:
            exec(sys.argv[-1], {"__name__": "__main__"})
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def customize() -> None:
    """Run the `sitecustomize` that this process would have found on its path, unless the server has."""
    found = PathFinder.find_spec("sitecustomize", [folder for folder in sys.path if folder != HOOK])
    if found and found.origin and found.origin != getattr(sys.modules.get("sitecustomize"), "__file__", None):
        runpy.run_path(found.origin)


if __name__ == "__main__":
    serve(sys.argv[1], at_once=sys.argv[2:] == ["at-once"])
