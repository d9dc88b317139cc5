"""Waits until every address answers: used by compose's health checks, and by services that wait for others.

python -m stack.ready http://127.0.0.1:9090/-/ready                 ask once
python -m stack.ready http://collector:13233 ... --within 60        wait for all of them
"""

import argparse
import sys
import time

from stack.running import answers


def missing(urls: list[str], within: float) -> list[str]:
    """The addresses that did not answer with 200 in time; each is asked at least once."""
    deadline = time.monotonic() + within
    left = list(urls)
    while True:
        left = [url for url in left if answers(url) is None]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.2)


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `None` is this process's own."""
    parser = argparse.ArgumentParser(
        prog="python -m stack.ready", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--within", type=float, default=0.0, help="seconds to wait (0: ask once)")
    return parser.parse_args(arguments)


def main() -> int:
    options = options_of()
    left = missing(options.urls, options.within)
    if left:
        print(f"no answer within {options.within:g} s from {' or '.join(left)}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
