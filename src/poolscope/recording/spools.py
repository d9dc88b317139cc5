"""Children of the first process: where they write, how their writings come home, which are not followed.

A forked child always records. Another Python process is reached only with ``--follow``: through the
POOLSCOPE_FOLLOW variable, which `poolscope.pth` (in an installed poolscope) or our ``sitecustomize``
reads when that interpreter starts.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from poolscope import records
from poolscope.recording.line_file import LineFile
from poolscope.recording.options import Options
from poolscope.recording.reader import lines_of, parse

if TYPE_CHECKING:
    from poolscope.reports.picture import Picture

FOLLOW: Final = "POOLSCOPE_FOLLOW"
ENDING: Final = ".spool"


def place_for(save: str | None) -> str:
    """The directory for children's spools: beside the saved file, so that a killed run leaves all of it."""
    if save is not None:
        return save + ".children"
    return os.path.join(tempfile.gettempdir(), f"poolscope-{os.getpid()}-{os.urandom(6).hex()}")


def spools_in(directory: str) -> list[str]:
    """The spools, in the order of (start, pid): their names begin with that."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(ENDING))
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names]


class Spools:
    """The directory of one run's children. It exists only once a child has something to write."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __repr__(self) -> str:
        return f"<Spools {self.directory}>"

    def file(self, started_at: float, pid: int) -> LineFile:
        """The spool of the process ``pid``, made with its first line."""
        name = f"{int(started_at * 1e9):020d}-{pid:010d}{ENDING}"
        return LineFile(os.path.join(self.directory, name), make_directory=True)

    def merge(self, take: Callable[[records.Record], None], into: LineFile | None) -> None:
        """Read every spool from its start; a line that is not whole or not ours ends that spool."""
        for path in spools_in(self.directory):
            for line, record in _readable(path):
                take(record)
                if into is not None:
                    into.add_line(line)

    def remove(self) -> None:
        """Delete the spools, and the directory if nothing else is in it."""
        for path in spools_in(self.directory):
            with suppress(OSError):
                os.unlink(path)
        with suppress(OSError):
            os.rmdir(self.directory)


def _readable(path: str) -> Iterator[tuple[str, records.Record]]:
    try:
        for _, line in lines_of(path):
            yield line, parse(line)
    except (OSError, ValueError):
        return


def picture_of(file: LineFile | None) -> Picture:
    """A picture of what a child itself has written so far."""
    from poolscope.reports.picture import Picture

    picture = Picture()
    if file is not None:
        file.flush()
        for _, record in _readable(file.path):
            picture.add(record)
    return picture


def follow(options: Options, directory: str) -> None:
    """Set the environment so that Python children record into ``directory``."""
    shared = {
        "spools": directory,
        "origin": options.origin,
        "keep_query": options.keep_query,
        "otlp": options.otlp,
        "first": os.getpid(),
    }
    os.environ[FOLLOW] = json.dumps(shared)
    if not pth_is_installed():
        ours = os.path.join(os.path.dirname(os.path.abspath(__file__)), "follow")
        home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([ours, home, *([before] if before else [])])


def followed(value: str) -> tuple[Options, str]:
    """What `follow` put into the variable; ValueError if it is not that."""
    shared = json.loads(value)
    options = Options(
        origin=list(shared["origin"]), keep_query=bool(shared["keep_query"]), otlp=shared["otlp"]
    )
    return options, str(shared["spools"])


def is_first(value: str) -> bool:
    """Whether `follow` was called by this very process, before it became another program by ``os.exec…``."""
    return bool(json.loads(value).get("first") == os.getpid())


def has_spool(directory: str) -> bool:
    """Whether a process of our number has written one: its records could not be told from ours."""
    return any(name.endswith(f"-{os.getpid():010d}{ENDING}") for name in spools_in(directory))


def pth_is_installed() -> bool:
    """Whether interpreters of this environment read `poolscope.pth` at their start."""
    return any(
        os.path.basename(path) in ("site-packages", "dist-packages")
        and os.path.exists(os.path.join(path, "poolscope.pth"))
        for path in sys.path
    )
