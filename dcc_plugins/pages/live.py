"""`dcc watch`: serve a run's page on loopback during the run, and nothing else: no files from disk."""

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
"""Minimum seconds between two renderings of the page."""
POLL = 0.5
"""Seconds between two checks whether the run is alive."""
GRACE = 6.0
"""Seconds that an active browser has to fetch the last page."""


class LivePage:
    """The page of a running run; rendered again when the folder changes."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self._folder = folder
        self._registry = registry
        self._lock = threading.Lock()
        self._files: object = None
        self._rendered = float("-inf")
        self._page, self.tag = b"", ""
        self.last_request = 0.0
        self.current()

    def current(self) -> tuple[bytes, str]:
        """The page and its tag. Raises DccError if no page could be rendered yet."""
        with self._lock:
            files = self._list_files()
            if files != self._files and time.monotonic() - self._rendered >= FRESH:
                self._render()
                self._files, self._rendered = files, time.monotonic()
            return self._page, self.tag

    def render_last(self) -> str:
        """Render the page of the ended run, and return its tag."""
        with self._lock:
            self._render()
            self._rendered = float("inf")
            return self.tag

    def _render(self) -> None:
        try:
            content = render_page([read_run(self._folder, self._registry)], live=True)
        except DccError:  # between two writes of the run: keep the previous page
            if not self._page:
                raise
            return
        self._page, self.tag = content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    def _list_files(self) -> list[tuple[str, int, int]]:
        found = []
        for path in sorted(self._folder.rglob("*")):
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((path.name, facts.st_mtime_ns, facts.st_size))
        return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, page: LivePage, port: int) -> None:
        self.page = page
        self.sent_tag = ""
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def hosts(self) -> set[str]:
        """Allowed `Host` headers: others may come from DNS rebinding."""
        return {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}


class _Handler(BaseHTTPRequestHandler):
    """Answers requests to a `_Server`."""

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
        content, tag = server.page.current()
        server.page.last_request = time.monotonic()
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
        server.sent_tag = tag

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serve_page(page: LivePage, port: int) -> Iterator[_Server]:
    """Serve a page on 127.0.0.1 within the context; port 0 takes a free one. Raises DccError for a port in use."""
    try:
        server = _Server(page, port)
    except (OSError, OverflowError) as error:
        raise DccError(f"--port {port} cannot be used: {error}; leave it out to use a free one") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def wait_for_end(folder: Path, server: _Server) -> None:
    """Return after the folder's process has ended and an active browser has fetched the last page."""
    while is_alive(folder):
        time.sleep(POLL)
    is_watched = time.monotonic() - server.page.last_request < GRACE
    last, end = server.page.render_last(), time.monotonic() + GRACE
    while is_watched and server.sent_tag != last and time.monotonic() < end:
        time.sleep(0.05)
