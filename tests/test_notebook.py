"""``%%poolscope`` in a real IPython, in its own process, as a shell replaces how the process displays values."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Running

pytestmark = pytest.mark.processes

SHELL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
shell.run_cell("%load_ext poolscope")
with capture_output() as captured:
    result = shell.run_cell(sys.argv[1], store_history=True)
print(json.dumps({
    "shown": [output.data for output in captured.outputs],
    "stdout": captured.stdout,
    "kept": {name: repr(shell.user_ns[name]) for name in ("x", "seen") if name in shell.user_ns},
    "failed": result.error_in_exec is not None,
}))
"""


def cell(text: str, tmp_path: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SHELL, text],
        capture_output=True, text=True, check=False, timeout=60, env={"HOME": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_the_cell_runs_and_its_connections_are_shown(server: Running, tmp_path: Path) -> None:
    url = server.url("/fixed/")
    result = cell(
        f"%%poolscope seen\nimport requests\nfor _ in range(4): requests.get({url!r})\nx = 41\nprint('ran')\nx + 1",
        tmp_path,
    )
    shown = result["shown"]
    assert isinstance(shown, list)
    assert shown[-1]["text/html"].startswith("<iframe")
    assert "4 requests" in shown[-1]["text/plain"]
    assert "· requests " in shown[-1]["text/plain"], "the version of a library that the cell itself imports"
    assert "ran\nOut[1]: 42" in str(result["stdout"])
    kept = result["kept"]
    assert isinstance(kept, dict)
    assert kept["x"] == "41"
    assert kept["seen"].startswith("<Recording In [")


def test_a_cell_that_fails_shows_both(server: Running, tmp_path: Path) -> None:
    result = cell(f"%%poolscope\nimport requests\nrequests.get({server.url('/fixed/')!r})\n1 / 0", tmp_path)
    assert "ZeroDivisionError" in str(result["stdout"])
    assert "1 request" in str(result["shown"])
