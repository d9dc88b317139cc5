"""`check_package.py FOLDER`: the wheel and the sdist in FOLDER work where nothing else of ours is installed.

The wheel goes into a new environment and runs the demo and a program. The sdist is unpacked, and its own
`make test-fast` runs there.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

PROGRAM = """\
import http.server, threading, requests
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for _ in range(5):
    requests.head(f"http://127.0.0.1:{server.server_port}/")
"""


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder} has {len(found)} files like {pattern}, not one")
    return found[0]


def said(*command: str | Path, cwd: Path, **variables: str) -> str:
    """A command's output, stdout and stderr; its failure ends everything."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    for ours in ("PYTHONPATH", "VIRTUAL_ENV", "POOLSCOPE_VENV"):
        environment.pop(ours, None)
    print("$", *(Path(word).name if isinstance(word, Path) else word for word in command), flush=True)
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nended with {done.returncode}")
    return done.stdout


def expect(output: str, *parts: str) -> None:
    missing = [part for part in parts if part not in output]
    if missing:
        raise SystemExit(f"{output}\nsays nothing of {missing}")


def check_wheel(wheel: Path, home: Path) -> None:
    venv.create(home / "installed", with_pip=True)
    there = home / "installed" / "bin"
    said(there / "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[demo]", cwd=home)
    command = there / "poolscope"
    expect(said(command, "--version", cwd=home), wheel.name.split("-")[1])
    expect(said(command, "doctor", cwd=home), "all 3 hooks fit", "poolscope.pth is there")
    expect(said(command, "demo", "seed", cwd=home), "PS101 client per request", "seed.py:")
    (home / "program.py").write_text(PROGRAM, encoding="utf-8")
    report = ("5 requests · 5 connections", "program.py:5")
    expect(said(command, "run", "program.py", cwd=home), *report)
    expect(said(there / "python", "program.py", cwd=home, POOLSCOPE="1"), *report)
    expect(said(command, "explain", "PS101", cwd=home), "# PS101 client per request")
    check_plugin(there, home)


def check_plugin(there: Path, home: Path) -> None:
    """pytest finds the plugin by itself, and warns of nothing, whether it is used or poolscope was imported before."""
    said(there / "pip", "install", "--quiet", "--disable-pip-version-check", "pytest", cwd=home)
    (home / "test_program.py").write_text("def test_program():\n    import program\n", encoding="utf-8")
    pytest = (there / "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_program.py")
    expect(said(*pytest, cwd=home), "1 passed")
    expect(said(*pytest, cwd=home, POOLSCOPE="1"), "1 passed", "PS106 server refuses keep-alive")
    expect(
        said(*pytest, "--poolscope", cwd=home),
        "PS106 server refuses keep-alive",
        "program.py:5",
        "test_program.py::",
    )


def check_sdist(sdist: Path, home: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(home, filter="data")
    checkout = home / sdist.name.removesuffix(".tar.gz")
    output = said("make", "test-fast", f"PYTHON={sys.executable}", cwd=checkout)
    print(output.splitlines()[-1])


def main(folder: str) -> None:
    home = Path(tempfile.mkdtemp(prefix="poolscope-package-"))
    try:
        check_wheel(only(Path(folder).resolve(), "*.whl"), home)
        check_sdist(only(Path(folder).resolve(), "*.tar.gz"), home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
