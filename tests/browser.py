"""A real browser without a window, told what to do over the DevTools protocol, for pages that draw themselves."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp
import requests

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT_S = 40.0


class Browser:
    """One tab of a chromium with a profile of its own in `folder`."""

    def __init__(self, folder: Path, width_px: int = 1400, height_px: int = 900) -> None:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        places = [f"--user-data-dir={folder}", f"--window-size={width_px},{height_px}"]
        self._process = subprocess.Popen(
            [str(CHROMIUM), *options, *places, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._loop = asyncio.new_event_loop()
        try:
            self._socket: Any = self._loop.run_until_complete(self._connect(_tab(folder / "DevToolsActivePort")))
        except BaseException:
            self._end()
            raise
        self._sent = 0

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._socket.close())
        self._loop.run_until_complete(self._session.close())
        self._end()

    def open(self, url: str) -> None:
        """Go to an address. A page that draws itself is not there yet: see `until`."""
        self.tell("Page.navigate", url="about:blank")  # else another #place of one page is not loaded anew
        self.tell("Page.navigate", url=url)

    def until(self, *words: str) -> str:
        """Wait until the page shows all these words; all that it shows. AssertionError with it when it does not."""
        deadline, shown = time.monotonic() + WAIT_S, ""
        while time.monotonic() < deadline:
            shown = str(self.ask("document.body ? document.body.innerText : ''"))
            if all(word in shown for word in words):
                return shown
            time.sleep(0.3)
        raise AssertionError(f"{[word for word in words if word not in shown]} not in: {shown}")

    def ask(self, script: str) -> Any:
        """Return what a JavaScript expression gives."""
        return self.tell("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self, path: Path) -> None:
        """Write what the window shows, a PNG."""
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))

    def tell(self, method: str, **params: Any) -> Any:
        """Send a command of the protocol, and return its result."""
        return self._loop.run_until_complete(asyncio.wait_for(self._tell(method, params), WAIT_S))

    async def _tell(self, method: str, params: dict[str, Any]) -> Any:
        self._sent += 1
        await self._socket.send_str(json.dumps({"id": self._sent, "method": method, "params": params}))
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == self._sent:
                assert "result" in answer, answer
                return answer["result"]

    async def _connect(self, url: str) -> aiohttp.ClientWebSocketResponse:
        self._session = aiohttp.ClientSession()
        return await self._session.ws_connect(url, max_msg_size=0)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._loop.close()


def _tab(note: Path) -> str:
    """Return the address of the browser's tab, once it has noted its port in its profile."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if note.exists() and (lines := note.read_text().split()):
            tabs = requests.get(f"http://127.0.0.1:{lines[0]}/json", timeout=WAIT_S).json()
            if found := [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"]:
                return str(found[0])
        time.sleep(0.1)
    raise AssertionError(f"{CHROMIUM} did not start")
