"""A real S3 API on loopback, moto's, and a connection to it that can be cut."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

BUCKET = "bucket"
START_S = 60.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with which closing a connection resets it."""


@dataclass
class Connection:
    """A TCP proxy on loopback in front of a port.

    While it is cut, open connections are reset; new ones are, too, or never get an answer.
    """

    behind: int
    cut: str | None = None
    port: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def set(self, cut: str | None) -> None:
        """Cut it, so that new connections are "reset" or "silent", or with None let all through again."""
        self.cut = cut
        self._loop.call_soon_threadsafe(self._reset_all)

    def start(self) -> None:
        """Listen, in a thread of its own."""
        listening = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1"))
        self.port = listening.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.cut == "reset":
                _reset(writer)
            elif self.cut == "silent":
                await writer.wait_closed()
            else:
                there, back = await asyncio.open_connection("127.0.0.1", self.behind)
                self._open.add(back)
                try:
                    await asyncio.gather(_pass(reader, back), _pass(there, writer))
                finally:
                    self._open.discard(back)
                    back.close()
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # it is closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(1 << 16):
        writer.write(some)
        await writer.drain()
    writer.close()


@contextmanager
def object_store() -> Iterator[Connection]:
    """A server with an empty bucket, which this process reaches by its environment, and others by the connection."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "chaos",
        "AWS_SECRET_ACCESS_KEY": "chaos",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        boto3.Session().client("s3").create_bucket(Bucket=BUCKET)
        connection = Connection(port)
        connection.start()
        yield connection
    finally:
        server.kill()
        server.wait()
