"""A server on a raw socket that answers wrongly, or breaks off, as real networks and proxies do."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HEAD = b'HTTP/1.1 200 OK\r\nETag: "a"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: '
WHOLE = HEAD + b"5\r\n\r\nhello"
CLOSED, SHORT = b"", HEAD + b"100\r\n\r\nhello"
RESET, SILENT = "reset", "silent"


def answer(status: int, code: str) -> bytes:
    """What S3 says when it refuses."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


@dataclass
class Broken:
    """Answers a request with the first of `answers`, or closes the connection; the last one again and again."""

    url: str
    answers: list[bytes | str] = field(default_factory=lambda: [CLOSED])
    asked: int = 0

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the test has ended
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                if not (more := connection.recv(65536)):
                    return
                request += more
            self.asked += 1
            content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if content == RESET:
                connection.sendall(SHORT)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if isinstance(content, bytes):
                only_head = request.startswith(b"HEAD") and content.startswith(b"HTTP/1.1 ")
                connection.sendall(content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if only_head else content)
                connection.shutdown(socket.SHUT_WR)
            with suppress(OSError):  # until the client is done; to close before would be a reset
                while connection.recv(65536):
                    pass


@contextmanager
def broken_server() -> Iterator[Broken]:
    """One on a port of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        server = Broken(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=server._serve, args=(listener,), daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
