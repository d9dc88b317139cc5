"""Pictures of the pages that a stack serves, made by a headless Chromium.

python -m stack.screenshots http://127.0.0.1:9090 --jaeger http://127.0.0.1:16686 --to build/screenshots
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stack.running import CannotRunError, answers, interval
from stack.searches import SEARCHES

# Only the page: the browser itself fetches nothing, and leaves nothing behind.
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# The placeholder page in Jaeger's Go module; Jaeger's releases have the real page.
PLACEHOLDER = b"placeholder"


def browse(url: str, *words: str) -> str:
    """Let a headless Chromium do one thing with a page; if it cannot, CannotRunError says what to do."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        raise CannotRunError("no Chromium on the PATH: on Debian, apt-get install chromium")
    if answers(url.partition("#")[0], 30.0) is None:
        raise CannotRunError(f"no page at {url}: start the stack first (make stack-local)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        ended = subprocess.run(
            # Virtual time runs ahead once nothing is loading, so the page's script has finished when this ends.
            [browser, *QUIET, f"--user-data-dir={profile}", "--virtual-time-budget=20000", *words, url],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotRunError(f"{browser} cannot show {url}: {last}")
    return ended.stdout


def seen(url: str) -> str:
    """The page's HTML after its script has run."""
    return browse(url, "--dump-dom")


def take(url: str, path: Path, height: int = 1700) -> None:
    """Write one picture."""
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "page.png"
        browse(url, f"--window-size=1300,{height}", f"--screenshot={taken}")
        if not taken.exists():
            raise CannotRunError(f"the browser made no picture of {url}")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(taken, path)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.screenshots", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("prometheus", metavar="URL")
    parser.add_argument("--jaeger", metavar="URL")
    parser.add_argument(
        "--export", type=interval, default=60.0, help="seconds between two exports of metrics (60)"
    )
    parser.add_argument("--to", type=Path, default=Path("build/screenshots"), metavar="FOLDER")
    options = parser.parse_args()
    asked = f"?export={options.export:g}&minutes=15"
    pages = {"connections": f"{options.prometheus}/consoles/poolscope.html{asked}"}
    if options.jaeger and PLACEHOLDER in (answers(f"{options.jaeger}/search") or b"").lower():
        print("this Jaeger has a placeholder for its page: no picture of it", file=sys.stderr)
    elif options.jaeger:
        pages |= {f"jaeger-{place}": search.page(options.jaeger) for place, search in enumerate(SEARCHES, 1)}
    try:
        for name, url in pages.items():
            take(url, options.to / f"{name}.png", height=4200 if name == "connections" else 1700)
            print(options.to / f"{name}.png")
    except CannotRunError as reason:
        print(f"screenshots: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
