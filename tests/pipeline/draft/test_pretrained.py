"""Official weights, and whether they can be had here."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pipeline.draft.pretrained import can_be_fetched, start_of


class Server(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/there.pth" else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_is_asked_for_the_head(url: str) -> None:
    assert can_be_fetched(f"{url}/there.pth")
    assert not can_be_fetched(f"{url}/gone.pth")
    assert not can_be_fetched("http://127.0.0.1:1/there.pth")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("resnet18", "imagenet1k"),
        ("tsm_resnet50", "kinetics400"),
        ("deeplabv3_resnet50", "coco"),
        ("edsr_baseline", "div2k-x2"),  # of three scales that of its default
        ("unet_bn", None),
    ],
)
def test_weights_of_the_whole_network_come_first(kind: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.draft.pretrained.can_be_fetched", lambda url: False)
    monkeypatch.setattr("pipeline.draft.pretrained.file_here", lambda row: None)
    start = start_of(kind)
    assert (start and start.name) == name
    assert start is None or not start.here()
