"""A server on this machine that answers while a test runs."""

import contextlib
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from threading import Thread

import huggingface_hub


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
