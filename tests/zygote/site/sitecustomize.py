"""Let Ray's workers be forks of the server of `tests.zygote`, if it runs; where it does not, nothing is different.

Python imports this by its name when it starts.
"""

import os
import sys

_MARK = "--serialized-runtime-env-context="
_found = [number for number, word in enumerate(sys.orig_argv[:4]) if word.endswith("/workers/default_worker.py")]
if _found and "ZOETROPE_ZYGOTE" in os.environ:
    import json
    import socket

    _words = sys.orig_argv[_found[0] :]
    _context = json.loads(next((word for word in _words if word.startswith(_MARK)), _MARK + "{}").removeprefix(_MARK))
    _environ = {**os.environ, **_context.get("env_vars", {})}
    _own, _path = (given["PYTHONPATH"].split(os.pathsep) for given in (os.environ, _environ))
    _asked = {
        "argv": [word for word in _words if not word.startswith((_MARK, "--language="))],
        "environ": _environ,
        "path": _path + sys.path[len(_own) :],
        "cwd": next(iter(_context.get("command_prefix", [])[1:2]), os.getcwd()),  # as in `cd FOLDER &&`
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as _server:
        try:
            _server.connect(os.environ["ZOETROPE_ZYGOTE"])
            socket.send_fds(_server, [json.dumps(_asked).encode()], [0, 1, 2])
            if _server.recv(1):
                os._exit(0)
        except OSError as error:
            print(f"no zygote: {error}", file=sys.stderr)
