"""CPython 3.14 with the servers and clients that the tests of `poolscope attach` need, installed once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path.home() / ".cache" / "poolscope-python"
HOW = "python3 .ci/newer_pythons.py ~/.cache/poolscope-python 3.14 fetches one (Debian, as root)"
PACKAGES = ("httpx", "requests", "uvicorn", "gunicorn", "celery")


def interpreter() -> str:
    """A Python without poolscope."""
    fetched = CACHE / "3.14" / "usr" / "bin" / "python3.14"
    base = shutil.which("python3.14") or (str(fetched) if fetched.exists() else None)
    assert base is not None, f"no Python 3.14 here: {HOW}"
    home = CACHE / "attach-3.14"
    python = str(home / "bin" / "python")
    if not _has_packages(python):
        subprocess.run([base, "-m", "venv", "--clear", "--without-pip", str(home)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *PACKAGES]
        subprocess.run(pip, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return python


def _has_packages(python: str) -> bool:
    if not os.path.exists(python):
        return False
    done = subprocess.run([python, "-c", f"import {', '.join(PACKAGES)}"], capture_output=True, check=False)
    return done.returncode == 0
