"""Small projects with their own tests, run by their own pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Running, in_thread

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
SHOP = """
import requests

URL = "{url}"


class Shop:
    def price(self, item):
        return requests.get(URL, timeout=10).text

    async def price_async(self, item):
        import httpx

        async with httpx.AsyncClient() as client:
            return (await client.get(URL)).text


def total(items):
    shop = Shop()
    return sum(len(shop.price(item)) for item in items)


async def total_async(items):
    shop = Shop()
    return sum([len(await shop.price_async(item)) for item in items])
"""


ASYNC_PLUGINS = ("pytest_asyncio.plugin", "anyio.pytest_plugin", "pytest_trio.plugin")


class Outcome:
    """A pytest's output, and how it ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.output = done.stdout
        self.errors = done.stderr
        self.counts = {name: int(n) for n, name in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}

    def __repr__(self) -> str:
        return f"<Outcome {self.status} {self.counts}>\n{self.output}\n{self.errors}"

    @property
    def section(self) -> str:
        """What poolscope printed at the end."""
        section = self.output.partition("= poolscope =")[2].partition("= short test summary info =")[0]
        return section.replace(" (info)", "")  # small beside the other load of the machine


class Project:
    """A folder with tests and ``shop.py``, which builds a client for each request."""

    def __init__(self, root: Path, server: Running) -> None:
        self.root = root
        self.write("shop.py", SHOP.replace("{url}", server.url("/fixed/")))
        self.write("pytest.ini", "[pytest]\n")

    def write(self, name: str, text: str) -> Project:
        (self.root / name).write_text(text, encoding="utf-8")
        return self

    def pytest(self, *options: str, plugins: tuple[str, ...] = ()) -> Outcome:
        """Run its tests with our plugin and the named ones; loading all plugins installed here would take seconds."""
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("POOLSCOPE", "PYTEST"))
        }
        plain |= {"PYTHONPATH": SOURCE, "COLUMNS": "80", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        wanted = [word for name in ("poolscope_pytest", *plugins) for word in ("-p", name)]
        command = [sys.executable, "-m", "pytest", *wanted, "-p", "no:cacheprovider", "-q", *options]
        return Outcome(
            subprocess.run(
                command, cwd=self.root, env=plain, capture_output=True, text=True, timeout=60, check=False
            )
        )


@pytest.fixture(scope="package")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, server: Running) -> Project:
    return Project(tmp_path, server)
