"""The documentation as a site (`make docs`), built with --strict and opened in a real Chromium."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from poolscope.findings import RULES

HOUSE = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(there)]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return there


@pytest.fixture(scope="module")
def site(built: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=built)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def asked() -> list[str]:
    """Every address that the page requested."""
    return []


@pytest.fixture
def page(browser: Browser, site: str, asked: list[str]) -> Iterator[Page]:
    """The site's first page; an error on its console, or a request to another host, fails the test."""
    wrong: list[str] = []
    context = browser.new_context(base_url=site, viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
    page.goto("index.html")
    yield page
    context.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []


def test_the_whole_site_makes_no_request_to_another_host(
    page: Page, built: Path, site: str, asked: list[str]
) -> None:
    pages = sorted(path.relative_to(built).as_posix() for path in built.rglob("*.html"))
    assert len(pages) > 30
    for name in pages:
        page.goto(name, wait_until="load")
    assert {url for url in asked if url.endswith(".html")} == {site + name for name in pages}


def test_every_link_of_every_page_leads_somewhere(built: Path) -> None:
    """--strict checks links between pages; this test also checks links to files."""
    texts = {path.relative_to(built).as_posix(): path.read_text("utf-8") for path in built.rglob("*.html")}
    ids = {name: set(re.findall(r'\bid="?([^" >]+)', text)) for name, text in texts.items()}
    links = {
        (name, urljoin(name, link))
        for name, text in texts.items()
        for link in re.findall(r'<a\b[^>]*\bhref="?([^" >]+)', text)
        if not urlsplit(link).scheme and name != "404.html"
    }
    missing = []
    for name, link in links:
        there, anchor = urldefrag(link)
        if not (built / there).exists() or (anchor and there in ids and unquote(anchor) not in ids[there]):
            missing.append((name, link))
    assert missing == []
    assert len(links) > 1000


def test_a_search_finds_the_page(page: Page) -> None:
    field = page.get_by_role("textbox", name="Search")
    field.click()
    field.press_sequentially("stale connection")
    hit = page.locator(".md-search-result__link").first
    hit.wait_for()
    assert re.search(r"findings(/PS\d+)?\.html", hit.get_attribute("href") or "")


def test_every_finding_has_a_page_in_the_menu(page: Page) -> None:
    menu = page.locator("nav.md-nav--primary a").all_text_contents()
    titles = {" ".join(title.split()) for title in menu}
    assert {f"{rule.code} {rule.title}" for rule in RULES} <= titles


def test_the_reference_is_made_from_the_docstrings(page: Page) -> None:
    page.goto("reference.html")
    assert page.locator("[id='poolscope.instrument']").is_visible()
    assert "Watch every connection" in page.inner_text("article")
    assert "excluded_urls" in page.inner_text("article")


def test_programs_of_findings_are_shown_as_code(page: Page) -> None:
    page.goto("findings/PS101.html")
    assert page.locator("article .highlight .filename").all_text_contents() == ["sick", "fixed"]
    assert "```" not in page.inner_text("article")
