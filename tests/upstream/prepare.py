"""A suite's sources and its own environment, made once and kept outside the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.upstream.suites import Suite

CACHE = Path(os.environ.get("POOLSCOPE_CACHE") or Path.home() / ".cache" / "poolscope") / "upstream"


def sources(suite: Suite) -> Path:
    """The unpacked sdist, downloaded with pip if it is not there yet."""
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
    """The Python of a virtual environment with the suite's pinned requirements and nothing of poolscope's."""
    wanted = "\n".join([sys.version, *suite.requirements])
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    folder = CACHE / f"{suite.name}-{suite.version}-{digest}"
    complete = folder / "complete"
    python = folder / "bin" / "python"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, *suite.requirements], check=True)
        complete.write_text(wanted, encoding="utf-8")
    return python
