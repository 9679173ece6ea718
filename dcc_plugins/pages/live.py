"""`dcc watch`: a run's page on loopback while the run lasts. Nothing else is served, and nothing of the disk."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dcc_core.errors import DccError
from dcc_core.plugins import Registry
from dcc_core.runs import is_alive
from dcc_plugins.pages.page import render_page
from dcc_plugins.pages.record import read_run

LOOPBACK = "127.0.0.1"
FRESH = 2.0
"""Seconds for which a page is fresh, whatever happens in the folder."""
LOOK = 0.5
"""Seconds between two looks whether the run is still there."""
GRACE = 6.0
"""Seconds in which a browser that is looking may fetch the last page."""


class Watched:
    """The page of a run as it goes on; made anew where the folder has changed."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self._folder = folder
        self._registry = registry
        self._lock = threading.Lock()
        self._seen: object = None
        self._made = float("-inf")
        self._page, self.tag = b"", ""
        self.asked = 0.0
        self.current()

    def current(self) -> tuple[bytes, str]:
        """The page and its tag. Raises DccError where there has never been one."""
        with self._lock:
            seen = self._state()
            if seen != self._seen and time.monotonic() - self._made >= FRESH:
                self._renew()
                self._seen, self._made = seen, time.monotonic()
            return self._page, self.tag

    def last(self) -> str:
        """The tag of the page of the run that has ended."""
        with self._lock:
            self._renew()
            self._made = float("inf")
            return self.tag

    def _renew(self) -> None:
        try:
            content = render_page([read_run(self._folder, self._registry)], live=True)
        except DccError:  # between two files of the run's: what there was is still true
            if not self._page:
                raise
            return
        self._page, self.tag = content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    def _state(self) -> list[tuple[str, int, int]]:
        found = []
        for path in sorted(self._folder.rglob("*")):
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((path.name, facts.st_mtime_ns, facts.st_size))
        return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, watched: Watched, port: int) -> None:
        self.watched = watched
        self.taken = ""
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def hosts(self) -> set[str]:
        """What a request's `Host` may be: others come from pages that had their own name lead here."""
        return {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}


class _Handler(BaseHTTPRequestHandler):
    """Answers for a `_Server`."""

    timeout = 10
    server_version, sys_version = "dcc", ""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        server = self.server
        if not isinstance(server, _Server) or self.headers.get("Host", "") not in server.hosts:
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        if self.path != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        content, tag = server.watched.current()
        server.watched.asked = time.monotonic()
        known = self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if known else HTTPStatus.OK)
        for name, value in (
            ("ETag", tag),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        if not known:
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body and not known:
            self.wfile.write(content)
        server.taken = tag

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: requests are nobody's business."""


@contextlib.contextmanager
def serve_page(watched: Watched, port: int) -> Iterator[_Server]:
    """Serve a page on 127.0.0.1 while the context lasts; port 0 is any that is free. Raises DccError for one in use."""
    try:
        server = _Server(watched, port)
    except (OSError, OverflowError) as error:
        raise DccError(f"--port {port} cannot be used: {error}; leave it out for one that is free") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def until_the_end(folder: Path, server: _Server) -> None:
    """Return when no process is at work in the folder any more, and whoever is looking has the last page."""
    while is_alive(folder):
        time.sleep(LOOK)
    looking = time.monotonic() - server.watched.asked < GRACE
    last, end = server.watched.last(), time.monotonic() + GRACE
    while looking and server.taken != last and time.monotonic() < end:
        time.sleep(0.05)
