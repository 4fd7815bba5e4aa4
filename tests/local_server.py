"""A server on this machine that answers while a test runs, as the hub does or otherwise."""

import contextlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub
import pytest


@contextlib.contextmanager
def answering(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    """Let a server answer, to a client of the hub that was opened under the present variables."""
    huggingface_hub.close_session()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        huggingface_hub.close_session()


class HubHandler(BaseHTTPRequestHandler):
    """What all hubs share; a subclass has ``do_HEAD``, which answers GET as well."""

    def do_GET(self) -> None:
        self.do_HEAD()

    def answer(self, data: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, code: str) -> None:
        self.answer(b"", {"X-Error-Code": code}, status)

    def log_message(self, *arguments) -> None:
        pass


@contextlib.contextmanager
def hub_of(
    handler: type[HubHandler], monkeypatch: pytest.MonkeyPatch, folder: Path, **state: Any
) -> Iterator[ThreadingHTTPServer]:
    """Let the hub's client find a hub on this machine: with its ``url``, no ``error``, and state.

    Its cache is in the folder.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    vars(server).update(error=None, url=f"http://127.0.0.1:{server.server_port}", **state)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(folder / "cache"),
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    with answering(server):
        yield server
