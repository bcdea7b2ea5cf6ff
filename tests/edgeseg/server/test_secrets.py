"""A run with a token, as a user has it: the token opens the page, and is nowhere else to be found."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from edgeseg.server.keys import TOKEN_VARIABLE
from edgeseg.server.passwords import PasswordHash
from tests.edgeseg.program import LIMIT_S, environment

TOKEN = "not-to-be-guessed-by-anybody"
PASSWORD = "correct horse"
SHOWN = ("/login", "/healthz", "/metrics", "/api/state", "/api/events", "/no/such/path")


def ask(port: int, path: str, token: str | None = TOKEN) -> tuple[int, str]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_token_is_nowhere_to_be_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The camera is a program of its own: what it is started with is what any program started by edgeseg gets.
    grey = f"import os, sys; open({str(tmp_path / 'environment')!r}, 'w').write(repr(dict(os.environ)))"
    grey += "\nwhile sys.stdout.buffer.write(bytes(64 * 48 * 3)): pass"
    camera = f"pipe:64x48@30/bgr24:{sys.executable} -c {shlex.quote(grey)}"
    hashed = str(PasswordHash.make(PASSWORD, 4))
    config = {"source": camera, "http": {"address": f"0.0.0.0:{port}", "users": {"viewer": hashed}}}
    (tmp_path / "edgeseg.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "edgeseg", "run", "--config", str(tmp_path / "edgeseg.yaml")]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**environment(), TOKEN_VARIABLE: TOKEN}, cwd=tmp_path
        )
    try:
        deadline = time.monotonic() + LIMIT_S
        while "after a log-in" not in (tmp_path / "log").read_text() or ask(port, "/readyz")[0] != 200:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        assert ask(port, "/api/state", None)[0] == 401
        assert ask(port, "/api/state", TOKEN + "x")[0] == 401
        assert ask(port, "/api/state")[0] == 200
        told = [ask(port, path)[1] for path in SHOWN]
        told += [ask(port, path, TOKEN + "x")[1] for path in SHOWN]
        for command_line in Path("/proc").glob("[0-9]*/cmdline"):
            # Some end while they are looked at.
            with contextlib.suppress(OSError):
                told.append(command_line.read_text(errors="replace"))
    finally:
        process.terminate()
        process.wait(LIMIT_S)
    log_text = (tmp_path / "log").read_text()
    assert re.search(r"edgeseg: watch at http://0\.0\.0\.0:\d+ after a log-in", log_text)
    assert "log-ins and pictures cross the network in the clear" in log_text
    assert "PATH" in (tmp_path / "environment").read_text()
    for text in (*told, log_text, (tmp_path / "environment").read_text()):
        assert TOKEN not in text
        assert hashed not in text
