"""`python -m tests.regress`: runs the tests marked `regress` over the code from before the faults were fixed.

A test that passes there as well proves nothing, and neither does a test that fails because a module is missing. So the
tests are today's, the code is the commit's, and the tests may not import what did not exist then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HOUSE = Path(__file__).resolve().parents[1]
COMMIT = "a376772"
MARK = "regress"
PYTEST_SECTION = re.compile(r"^\[tool\.pytest\.ini_options\]\n.*?(?=^\[)", re.DOTALL | re.MULTILINE)
OVER_OLD_CODE = ("-p", "no:poolscope", "-p", "no:unraisableexception")
"""The old code has no plugin of ours. What its failing tests leave open is no error of the tests that come next."""
MISSING = ("ImportError", "ModuleNotFoundError")
"""Errors of a test that could not even ask its question."""


class Outcome(NamedTuple):
    """The outcome of one test."""

    name: str
    ended: str
    """passed, failed, error or skipped."""
    why: str

    @property
    def convincing(self) -> bool:
        """Whether the test failed over the old code, for its own reason."""
        return self.ended == "failed" and not self.why.removeprefix("E ").strip().startswith(MISSING)

    def __str__(self) -> str:
        return f"{self.ended:<8}{self.name}" + (f"\n        {self.why}" if self.why else "")


def git(*words: str, cwd: Path = HOUSE) -> str:
    return subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True, text=True).stdout


@contextmanager
def the_old_house(home: Path) -> Iterator[Path]:
    """A worktree of the commit with today's tests and their settings in it."""
    there = home / "house"
    git("worktree", "add", "--quiet", "--detach", str(there), COMMIT)
    try:
        shutil.rmtree(there / "tests")
        files = git("ls-files", "--cached", "--others", "--exclude-standard", "tests").splitlines()
        for name in [name for name in files if (HOUSE / name).exists()]:
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HOUSE / name, there / name)
        # The old project is built as it was; only its tests are run like ours.
        project = there / "pyproject.toml"
        ours = PYTEST_SECTION.search((HOUSE / "pyproject.toml").read_text("utf-8"))
        assert ours is not None
        project.write_text(PYTEST_SECTION.sub(lambda _: ours[0], project.read_text("utf-8")), "utf-8")
        yield there
    finally:
        git("worktree", "remove", "--force", str(there))


def environment(there: Path, home: Path) -> Path:
    """An interpreter with our tools and libraries, and the old package installed."""
    folder = home / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    ours = [path for path in sys.path if "site-packages" in path]
    # Python searches a path from a .pth file, but does not read the .pth files in it: ours stay out.
    (site / "_house.pth").write_text("\n".join([str(there / "src"), *ours]) + "\n")
    for start_up in (*there.glob("src/*.pth"), *there.glob("src/*.start")):
        shutil.copy2(start_up, site)
    python = folder / "bin" / "python"
    for script in Path(sys.executable).parent.iterdir():
        if not script.is_file() or script.is_symlink() or (folder / "bin" / script.name).exists():
            continue
        head, newline, body = script.read_bytes().partition(b"\n")
        if head.startswith(b"#!") and b"python" in head:
            copy = folder / "bin" / script.name
            copy.write_bytes(f"#!{python}".encode() + newline + body)
            copy.chmod(0o755)
    return python


def marked() -> list[str]:
    """The files with such tests; in other files an import may fail, which does not matter here."""
    files = (HOUSE / "tests").rglob("test_*.py")
    return sorted(str(path.relative_to(HOUSE)) for path in files if f"mark.{MARK}" in path.read_text("utf-8"))


def run(
    python: Path, house: Path, results: Path, words: list[str], options: Iterable[str] = ()
) -> list[Outcome]:
    """The outcomes of the marked tests, run with more ``options`` of pytest's."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean["PATH"] = os.pathsep.join([str(python.parent), clean.get("PATH", os.defpath)])
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-m",
        MARK,
        "-p",
        "no:cacheprovider",
        "--junit-xml",
        str(results),
        *options,
    ]
    done = subprocess.run(
        [*command, *(words or marked())], cwd=house, env=clean, check=False, capture_output=True, text=True
    )
    if not results.exists():
        raise SystemExit(f"pytest did not get so far in {house}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return [outcome(case) for case in ET.parse(results).getroot().iter("testcase")]


def outcome(case: ET.Element) -> Outcome:
    name = f"{case.get('classname')}::{case.get('name')}"
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            ended = {"failure": "failed"}.get(child.tag, child.tag)
            message = (child.get("message") or "").splitlines()
            return Outcome(name, ended, message[0][:160] if message else "")
    return Outcome(name, "passed", "")


def main(words: list[str]) -> int:
    """Print how each test ends there and here; 1 unless all fail there and pass here."""
    if not marked():
        print(f"no test is marked {MARK}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with the_old_house(home) as there:
            before = run(environment(there, home), there, home / "before.xml", words, OVER_OLD_CODE)
        after = run(Path(sys.executable), HOUSE, home / "after.xml", words)
    print(f"over {COMMIT}:", *before, sep="\n")
    doubtful = [one for one in before if not one.convincing]
    broken = [one for one in after if one.ended != "passed"]
    for title, found in (
        (f"do not fail over {COMMIT} for their own reason", doubtful),
        ("fail here", broken),
    ):
        if found:
            print(f"\n{title}:", *found, sep="\n")
    print(f"\n{len(before) - len(doubtful)} of {len(before)} fail over {COMMIT}; {len(after) - len(broken)} of"
          f" {len(after)} pass here")  # fmt: skip
    return 1 if doubtful or broken or not before else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
