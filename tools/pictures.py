"""Pictures of the HTML page of an example, which runs here, light and dark: python tools/pictures.py [FOLDER]."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from poolscope.cli.demo import Server, directory

DELAY = 0.002
EXAMPLES = {"https_both_ways": ["12"], "pool_too_small": []}


def record(example: str, arguments: list[str], server: Server, page: Path) -> None:
    """Run an example and write its page."""
    url = server.url("https" if "https" in example else "http")
    command = ["run", "--format", "html", "-o", str(page), f"examples/{example}.py", url, *arguments]
    subprocess.run(
        [sys.executable, "-m", "poolscope", *command],
        cwd=server.keep,
        env=server.environment(),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/pictures").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("pictures: no Chromium on the PATH: on Debian, apt-get install chromium", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory() as keep,
        Server(DELAY, keep) as server,
        sync_playwright() as playwright,
    ):
        shutil.copytree(directory(), Path(keep, "examples"))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for example, arguments in EXAMPLES.items():
            page = folder / f"{example}.html"
            record(example, arguments, server, page)
            for scheme in ("light", "dark"):
                tab = browser.new_page(viewport={"width": 1400, "height": 1000}, color_scheme=scheme)
                tab.goto(page.as_uri())
                tab.locator("html[data-ready]").wait_for(state="attached")
                path = folder / f"{example}-{scheme}.png"
                tab.screenshot(path=path, full_page=True)
                tab.close()
                print(path)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
