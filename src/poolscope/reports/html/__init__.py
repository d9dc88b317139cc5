"""The report as one HTML file that needs no network: lanes on a time axis, findings, tables. `sample` keeps what is
drawn, `facts` makes the words and sums, `columns` packs both. This file assembles the page from its parts beside it
(page.html, style.css, the scripts).
"""

from __future__ import annotations

import hashlib
import html
from base64 import b64encode
from importlib.resources import files
from typing import Final

from poolscope.records import Record
from poolscope.reports.html.columns import payload
from poolscope.reports.html.facts import facts, title, verdict
from poolscope.reports.html.sample import Sample
from poolscope.reports.overview import Overview
from poolscope.reports.renderer import Look, Renderer, Write

SCRIPTS: Final = (
    "words.js",
    "data.js",
    "facts.js",
    "layout.js",
    "paint.js",
    "overview.js",
    "timeline.js",
    "table.js",
    "main.js",
)
"""In this order: together they are the page's one script."""


def renderer(write: Write, look: Look) -> Renderer:
    """The page, as one of the formats."""
    return Page(write, look)


class Page:
    """Keeps sums and a sample of the lanes while the records go by, and is written at the end."""

    def __init__(self, write: Write, look: Look) -> None:
        self._write = write
        self._source = look.source
        self.overview = Overview()
        self.overview.shows = look.shows
        self._sample = Sample()

    def __repr__(self) -> str:
        return f"<Page of {self._sample!r}>"

    def add(self, record: Record) -> None:
        """Take in the next record."""
        self.overview.add(record)
        self._sample.add(record)

    def go_on(self, pids: set[int]) -> None:
        """These processes are still running."""
        self.overview.running |= pids

    def finish(self) -> None:
        """Write the page."""
        self._sample.finish()
        before, after = _page(title(self.overview), verdict(self.overview)).split("{payload}")
        self._write(before)
        tables = {"connections": self._sample.connections, "exchanges": self._sample.exchanges}
        for piece in payload(facts(self.overview, self._sample, self._source), tables):
            self._write(piece)
        self._write(after)


def _page(program: str, sentence: str) -> str:
    """The page around the data. Texts of the data are inserted last, so nothing in them can pass for a
    placeholder.
    """
    style, script = own("style.css"), own_script()
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    page = own("page.html")
    for place, text in (
        ("{policy}", policy),
        ("{style}", style),
        ("{script}", script),
        ("{verdict}", _text(sentence)),
        ("{program}", _text(program)),
    ):
        page = page.replace(place, text)
    return page


def own(name: str) -> str:
    """A part of the page, from a file beside this one."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def own_script() -> str:
    """The page's script, without its comments and indentation."""
    lines = (line.strip() for name in SCRIPTS for line in own(name).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


def _text(text: str) -> str:
    return html.escape(text).replace("{", "&#123;")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{b64encode(digest).decode('ascii')}'"
