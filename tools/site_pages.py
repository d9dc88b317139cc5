"""Turns docs/ into a site (mkdocs.yml names this file): adds the pages outside docs/, and changes links to files.

The pages are written for a checkout, where ``../otel-collector.yaml`` is a file. The site contains a copy of
such a file, and the link leads to it; a link to a folder becomes plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HOUSE = Path(__file__).resolve().parent.parent
BESIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}
"""Files of the checkout that are pages of the site, and their names there."""

LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#]+)(#[^)]*)?\)")
PROGRAM = re.compile(r"^```python (sick|fixed)$", re.MULTILINE)

REFERENCE = {
    "In a program": [
        "poolscope.instrument",
        "poolscope.uninstrument",
        "poolscope.snapshot",
        "poolscope.ledger.snapshot.Snapshot",
        "poolscope.ledger.snapshot.LiveConnection",
        "poolscope.ledger.snapshot.Waiter",
        "poolscope.ledger.snapshot.Holder",
    ],
    "For a block of code": ["poolscope.block.record", "poolscope.block.Recording"],
    "In tests": ["poolscope.testing.capture", "poolscope.testing.Capture"],
    "For one client": [
        "poolscope.transports",
        "poolscope.adapter.HTTPAdapter",
        "poolscope.adapter.AdapterMixin",
    ],
    "Records": [
        f"poolscope.records.{name}" for name in ("Client", "Pool", "Connection", "Exchange", "Finding")
    ],
}
"""Heading → the objects documented below it, by their docstrings."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List a page for each finding, and last every page that the menu in mkdocs.yml does not place."""
    (findings,) = (part["Findings"] for part in config.nav or () if "Findings" in part)
    findings += [f"findings/{path.name}" for path in sorted(HOUSE.glob("docs/findings/*.md"))]
    menu = str(config.nav)
    rest = [path.name for path in sorted(HOUSE.glob("docs/*.md")) if f"'{path.name}'" not in menu]
    if rest:
        config.nav = [*(config.nav or ()), {"More": rest}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, the reference, and every file that a page links to."""
    for name, there in BESIDE.items():
        files.append(File.generated(config, there, abs_src_path=str(HOUSE / name)))
    files.append(File.generated(config, "reference.md", content=reference()))
    for page in [*HOUSE.glob("docs/**/*.md"), *(HOUSE / name for name in BESIDE)]:
        for _, target, _ in LINK.findall(page.read_text("utf-8")):
            path = (page.parent / target).resolve()
            name = address(path)
            if path.is_file() and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Make the links lead to places on the site."""
    source = Path(page.file.abs_src_path or HOUSE / "docs" / page.file.src_uri)
    here = posixpath.dirname(page.file.src_uri)

    def led(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        path = (source.parent / target).resolve()
        if path.is_dir():
            return text
        return f"[{text}]({posixpath.relpath(address(path), here or '.')}{anchor or ''})"

    return PROGRAM.sub(r'```python title="\1"', LINK.sub(led, markdown))


def address(path: Path) -> str:
    """Where a file of the checkout is on the site."""
    name = path.relative_to(HOUSE).as_posix()
    return BESIDE.get(name) or name.removeprefix("docs/")


def reference() -> str:
    """The page of the public API: mkdocstrings fills in signatures and docstrings."""
    lines = ["# Which functions are there?", ""]
    for heading, names in REFERENCE.items():
        lines += [f"## {heading}", ""]
        for name in names:
            lines += [f"::: {name}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)
