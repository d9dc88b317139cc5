"""How numbers and paths are written."""

from __future__ import annotations

import pytest

from poolscope.reports.words import Paths, count, most, seconds, share


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"),
        (0.0, "0 µs"),
        (0.00004, "40 µs"),
        (0.00012, "0.1 ms"),
        (0.0042, "4.2 ms"),
        (0.00996, "10 ms"),
        (0.5, "500 ms"),
        (0.9996, "1.00 s"),
        (1.234, "1.23 s"),
        (9.996, "10.0 s"),
        (99.96, "100 s"),
        (12345.6, "12,346 s"),
    ],
)
def test_seconds(value: float | None, written: str) -> None:
    assert seconds(value) == written


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        (0, 0, "–"),
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 1_000_000, "0.1 %"),
        (999_999, 1_000_000, "99.9 %"),
        (1, 2, "50 %"),
        (994, 1_000, "99.4 %"),
    ],
)
def test_0_and_100_percent_are_never_rounded_to(part: int, whole: int, written: str) -> None:
    assert share(part, whole) == written


def test_count() -> None:
    assert [count(1, "request"), count(1_000, "request"), count(2, "process", "processes")] == [
        "1 request",
        "1,000 requests",
        "2 processes",
    ]


def test_most_sums_up_the_rest() -> None:
    assert most({"b": 1, "a": 1, "c": 5, "d": 1}, shown=2) == [("c", 5), ("a", 1), ("other", 2)]


def test_own_files_lose_the_directory_they_share() -> None:
    paths = Paths(["/srv/.../app/main.py", "/srv/.../app/lib/api.py", "/x/site-packages/somesdk/http.py"])
    assert paths.base == "/srv/.../app"
    assert paths.short("/srv/.../app/lib/api.py") == "lib/api.py"
    assert paths.short("/x/site-packages/somesdk/http.py") == "somesdk/http.py"
    assert paths.short("/usr/lib/python3.11/site-packages/somesdk/http.py") == "somesdk/http.py"
    assert paths.short("/usr/lib/python3.11/concurrent/futures/thread.py") == "concurrent/futures/thread.py"


def test_files_that_share_nothing_keep_their_names() -> None:
    paths = Paths(["/a/main.py", "/b/api.py", "<string>", "script.py"])
    assert paths.short("/a/main.py") == "/a/main.py"
    assert paths.short("<string>") == "<string>"
    assert paths.short("script.py") == "script.py"


def test_a_sibling_directory_is_not_below() -> None:
    paths = Paths(["/srv/.../app/main.py"])
    assert paths.short("/srv/.../application/main.py") == "/srv/.../application/main.py"


def test_long_names_are_cut_on_the_left() -> None:
    assert Paths([]).short("/very/long/path/to/some/module.py", 12) == "…e/module.py"
