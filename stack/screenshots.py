"""Pictures of the pages that a stack serves, made by a headless Chromium.

python -m stack.screenshots http://127.0.0.1:9090 --jaeger http://127.0.0.1:16686 --to build/screenshots
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stack.running import CannotRunError, answers
from stack.searches import SEARCHES

# Only the page asked for: nothing is fetched for the browser itself, and nothing of it stays.
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# What the page in Jaeger's Go module says; Jaeger's releases have the real one.
PLACEHOLDER = b"placeholder"


def take(url: str, path: Path) -> None:
    """Write one picture; raise CannotRunError with what to do where that cannot be."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        raise CannotRunError("no Chromium on the PATH: on Debian, apt-get install chromium")
    if answers(url, 30.0) is None:
        raise CannotRunError(f"no page at {url}: start the stack first (make stack-local)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        ended = subprocess.run(
            [
                browser,
                *QUIET,
                f"--user-data-dir={profile}",
                "--window-size=1300,1700",
                f"--screenshot={path}",
                url,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    if ended.returncode or not path.exists():
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotRunError(f"{browser} made no picture of {url}: {last}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.screenshots", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("prometheus", metavar="URL")
    parser.add_argument("--jaeger", metavar="URL")
    parser.add_argument("--to", type=Path, default=Path("build/screenshots"), metavar="FOLDER")
    options = parser.parse_args()
    pages = {"connections": f"{options.prometheus}/consoles/poolscope.html"}
    if options.jaeger and PLACEHOLDER in (answers(f"{options.jaeger}/search") or b"").lower():
        print("this Jaeger has a placeholder for its page: no picture of it", file=sys.stderr)
    elif options.jaeger:
        pages |= {f"jaeger-{place}": search.page(options.jaeger) for place, search in enumerate(SEARCHES, 1)}
    try:
        for name, url in pages.items():
            take(url, options.to / f"{name}.png")
            print(options.to / f"{name}.png")
    except CannotRunError as reason:
        print(f"screenshots: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
