"""A real Chromium, and pages made from records."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from poolscope.records import Record
from poolscope.reports.renderer import Format, Look, renderer

Open = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed at the end of this package: while it runs, no other event loop can run in this thread."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "no Chromium on the PATH: on Debian, apt-get install chromium"
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as home:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
            env={"HOME": home},
        )
        yield browser
        browser.close()


def write(format: Format, records: Iterable[Record], path: Path, look: Look | None = None) -> Path:
    """A rendering of records in a file."""
    pieces: list[str] = []
    rendering = renderer(format, pieces.append, look or Look())
    for record in records:
        rendering.add(record)
    rendering.finish()
    path.write_text("".join(pieces), encoding="utf-8")
    return path


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the page of some records; a message on its console, or any request that it makes, fails the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def show(
        records: Iterable[Record], *, dark: bool = False, look: Look | None = None, width: int = 1400
    ) -> Page:
        path = write("html", records, tmp_path / f"page{len(contexts)}.html", look)
        context = browser.new_context(
            viewport={"width": width, "height": 1000}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda request: wrong.append(request.url) if request.url != path.as_uri() else None
        )
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(path.as_uri())
        page.locator("html[data-ready]").wait_for(state="attached")
        settle(page)
        return page

    yield show
    for context in contexts:
        context.close()
    assert wrong == []


def settle(page: Page) -> None:
    """Wait until the lanes have their final shape."""
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
