"""`dcc watch`: to this computer alone, one page and nothing of the disk, and gone with the run."""

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from acts import HOLD
from click.testing import CliRunner
from interrupting import Interrupting
from shown_runs import made, registry_of

from dcc_core.cli.app import cli
from dcc_core.errors import DccError, Stopped
from dcc_core.runs.lock import LOCK
from dcc_plugins.pages.live import LivePage, serve_page, wait_for_end


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that was begun and not ended."""
    out = tmp_path_factory.mktemp("watch") / "run"
    with pytest.raises(Stopped):
        made(out, {"run.checkpoint": "0s", "run.sets": 1}, Interrupting(5))
    return out


@pytest.fixture
def going_on(interrupted, tmp_path):
    """Its folder, as if a process were at work in it; and that process."""
    out = shutil.copytree(interrupted, tmp_path / "run")
    (out / "secret.txt").write_text("secret")
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield out, process
    process.kill()
    process.wait()
    process.stdout.close()


def asked(port, path, *, method="GET", **headers):
    """Status, headers and body of an answer, the path as it stands: nothing tidies it on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_the_page_and_nothing_else(going_on):
    folder, _ = going_on
    with serve_page(LivePage(folder, registry_of()), 0) as server:
        status, headers, body = asked(server.server_port, "/")
        assert status == 200
        assert b"running" in body
        assert b"5 of 12 image updates" in body
        assert headers["Cache-Control"] == "no-store"
        assert asked(server.server_port, "/", If_None_Match=headers["ETag"])[0::2] == (304, b"")
        assert asked(server.server_port, "/", method="HEAD")[0::2] == (200, b"")
        for path in (
            "/secret.txt",
            "/run.log",
            "/metrics.jsonl",
            "/snapshots/00000000.safetensors",
            "/../secret.txt",
            "/../../../../../../etc/passwd",
            "/..%2f..%2fetc%2fpasswd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/....//secret.txt",
            "//etc/passwd",
            "/./",
            f"{folder}/secret.txt",
            "file:///etc/passwd",
            "http://127.0.0.1/secret.txt",
            "/?secret.txt",
            "/\\..\\secret.txt",
            "/%00secret.txt",
        ):
            status, _, body = asked(server.server_port, path)
            assert status in (403, 404), path
            assert b"secret" not in body.replace(path.encode(), b"")
            assert b"root:" not in body
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert asked(server.server_port, "/", method=method)[0] == 501
        for host in ("evil.example", "evil.example:80", "127.0.0.1", "", f"evil.example:{server.server_port}"):
            assert asked(server.server_port, "/", Host=host)[0] == 403, host


def test_it_listens_on_loopback_alone(going_on):
    folder, _ = going_on
    with serve_page(LivePage(folder, registry_of()), 0) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in own - {"127.0.0.1"}:
            with pytest.raises(OSError), socket.create_connection((address, server.server_port), timeout=1):
                pass
        taken = pytest.raises(DccError, match=f"--port {server.server_port} cannot be used")
        with taken, serve_page(LivePage(folder, registry_of()), server.server_port):
            pass


def test_what_is_new_comes_at_the_next_request(going_on, monkeypatch):
    monkeypatch.setattr("dcc_plugins.pages.live.FRESH", 0.0)
    folder, _ = going_on
    with serve_page(LivePage(folder, registry_of()), 0) as server:
        tag = asked(server.server_port, "/")[1]["ETag"]
        with open(folder / "metrics.jsonl", "a") as file:
            file.write('{"set": 0, "outer": 1, "inner": 2, "loss": 0.5, "phase": ""}\n')
        status, _, body = asked(server.server_port, "/", If_None_Match=tag)
        assert status == 200
        assert b"6 of 12 image updates" in body
        (folder / "checkpoint.safetensors").unlink()  # as where a run ends just now
        assert asked(server.server_port, "/")[0] == 200


def test_it_is_gone_with_the_run(going_on):
    folder, process = going_on
    command = [sys.executable, "-m", "dcc_core", "watch", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        line = watching.stdout.readline()
        assert line.startswith(f"watching {folder} at http://127.0.0.1:")
        port = int(line.split(":")[2].split("/")[0])
        assert asked(port, "/")[0] == 200
        process.send_signal(signal.SIGKILL)
        process.wait()
        began = time.monotonic()
        while b"interrupted" not in asked(port, "/")[2]:
            time.sleep(0.1)
        assert watching.wait(timeout=15) == 0
        assert time.monotonic() - began < 10
        assert watching.stdout.read() == "the run has ended: it is interrupted\n"
        with pytest.raises(ConnectionRefusedError):
            asked(port, "/")


def test_what_is_not_going_on_is_one_message(interrupted, tmp_path):
    for folder, message in (
        (interrupted, f"no process is running in '{interrupted}', its run is interrupted"),
        (tmp_path, f"'{tmp_path}' is not a run folder"),
    ):
        result = CliRunner().invoke(cli, ["watch", str(folder)])
        assert result.exit_code == 2
        assert f"Error: {message}" in result.stderr
    assert not (interrupted / LOCK).exists()


def test_the_browser_follows(going_on, browser, monkeypatch):
    from playwright.sync_api import expect

    monkeypatch.setattr("dcc_plugins.pages.live.FRESH", 0.0)
    folder, process = going_on
    tab = browser.new_page()
    troubles = []
    tab.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    with serve_page(LivePage(folder, registry_of()), 0) as server:
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        tab.fill("#filter", "blob 3")
        with open(folder / "metrics.jsonl", "a") as file:
            file.write('{"set": 0, "outer": 1, "inner": 2, "loss": 0.5, "phase": ""}\n')
        expect(tab.locator(".state")).to_contain_text("6 of 12", timeout=10_000)
        assert tab.locator(".class:visible").count() == 1, "the filter stays"
        assert troubles == []
        process.kill()
        process.wait()
        wait_for_end(folder, server)
    expect(tab.locator(".state")).to_contain_text("interrupted", timeout=10_000)
    expect(tab.locator("#status")).to_contain_text("the run has ended", timeout=10_000)
    tab.close()
