"""A suite's sources and its environments, made once and kept outside the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.upstream.suites import Suite

HOME = Path(os.environ.get("POOLSCOPE_CACHE") or Path.home() / ".cache" / "poolscope")
CACHE = HOME / "upstream"


def sources(suite: Suite) -> Path:
    """The unpacked sdist; pip downloads it if it is not there yet."""
    home = CACHE / "sources"
    folder = home / f"{suite.name}-{suite.version}"
    if not folder.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
        subprocess.run([*pip, "--no-binary", ":all:", "--no-deps", "--dest", home, suite.pinned], check=True)
        with tarfile.open(home / f"{folder.name}.tar.gz") as archive:
            archive.extractall(home, filter="data")
    return folder


def environment(suite: Suite) -> Path:
    """The Python of a virtual environment with the suite's pinned requirements, without poolscope."""
    return python_with(suite.requirements, CACHE / f"{suite.name}-{suite.version}")


def python_with(requirements: tuple[str, ...], folder: Path) -> Path:
    """The Python of a virtual environment with ``requirements``, made once and kept in ``folder-DIGEST``."""
    wanted = "\n".join([sys.version, *requirements])
    folder = folder.with_name(f"{folder.name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}")
    complete = folder / "complete"
    python = folder / "bin" / "python"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, *requirements], check=True)
        complete.write_text(wanted, encoding="utf-8")
    return python
