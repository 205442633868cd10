"""Let processes be forks of the server of `pipeline.base.forks`, if it runs; else nothing is different.

Those are Ray's workers, in whose place the fork goes on, and the fork servers of multiprocessing, which stay until
their forks end: who starts one looks at it. Python imports this by its name when it starts, and then, as it would have
without us, another one of this name.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_RAY, _CONTEXT = "/workers/default_worker.py", "--serialized-runtime-env-context="
_FORK_SERVER = "from multiprocessing.forkserver import main; main("
_words = sys.orig_argv
_found = [number for number, word in enumerate(_words[:4]) if word.endswith(_RAY)]
_serves = _words[-2:-1] == ["-c"] and _words[-1].startswith(_FORK_SERVER)
if (_found or _serves) and os.environ.get("ZOETROPE_FORKS"):
    import json
    import signal
    import socket

    _environ, _path, _cwd, _fds = dict(os.environ), sys.path, os.getcwd(), [0, 1, 2]
    if _serves:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a fork server does
        _listener, _alive = map(int, _words[-1].removeprefix(_FORK_SERVER).split(",")[:2])
        _fds += [_listener, _alive]
    else:
        _words = _words[_found[0] :]
        _said = next((word for word in _words if word.startswith(_CONTEXT)), _CONTEXT + "{}")
        _context = json.loads(_said.removeprefix(_CONTEXT))
        _own = os.environ["PYTHONPATH"].split(os.pathsep)
        _environ |= _context.get("env_vars", {})
        _path = _environ["PYTHONPATH"].split(os.pathsep) + sys.path[len(_own) :]
        _cwd = next(iter(_context.get("command_prefix", [])[1:2]), _cwd)  # as in `cd FOLDER &&`
        _words = [word for word in _words if not word.startswith((_CONTEXT, "--language="))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as _server:
        try:
            _server.connect(os.environ["ZOETROPE_FORKS"])
            _asked = {"argv": _words, "environ": _environ, "path": _path, "cwd": _cwd, "fds": _fds}
            socket.send_fds(_server, [json.dumps(_asked).encode()], _fds)
            if _server.recv(1):
                _server.recv(1)  # until it ends where it holds this open
                os._exit(0)
        except OSError as error:
            print(f"no fork: {error}", file=sys.stderr)

_hidden = PathFinder.find_spec(__name__, [folder for folder in sys.path if folder != os.path.dirname(__file__)])
if _hidden and _hidden.loader:
    _hidden.loader.exec_module(module_from_spec(_hidden))
