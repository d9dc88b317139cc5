"""Reaches Python children that are not forks: by a variable that they read when they start. An installed poolscope
reads it in `poolscope.pth` or `poolscope.start`, others in our ``sitecustomize``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Final

from poolscope.recording.options import Options

FOLLOW: Final = "POOLSCOPE_FOLLOW"


def follow(options: Options, directory: str) -> None:
    """Set the environment so that Python children record into ``directory``."""
    shared = {
        "spools": directory,
        "origin": options.origin,
        "keep_query": options.keep_query,
        "keep_path": options.keep_path,
        "otlp": options.otlp,
        "live": options.live,
        "first": os.getpid(),
    }
    os.environ[FOLLOW] = json.dumps(shared)
    if not pth_is_installed():
        ours = os.path.join(os.path.dirname(os.path.abspath(__file__)), "follow")
        home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([ours, home, *([before] if before else [])])


def followed(value: str) -> tuple[Options, str]:
    """The contents of the variable that `follow` set; ValueError if they are something else."""
    shared = json.loads(value)
    options = Options()
    options.origin = list(shared["origin"])
    options.keep_query = bool(shared["keep_query"])
    options.keep_path = bool(shared["keep_path"])
    options.otlp = shared["otlp"]
    options.live = bool(shared.get("live"))
    return options, str(shared["spools"])


def is_first(value: str) -> bool:
    """Whether `follow` was called by this very process, before it became another program by ``os.exec…``."""
    return bool(json.loads(value).get("first") == os.getpid())


def pth_is_installed() -> bool:
    """Whether interpreters of this environment read `poolscope.pth` at their start."""
    return any(
        os.path.basename(path) in ("site-packages", "dist-packages")
        and os.path.exists(os.path.join(path, "poolscope.pth"))
        for path in sys.path
    )
