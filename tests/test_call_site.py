"""A line of code has a name that helps, in a file or not."""

from __future__ import annotations

import pytest

from poolscope.call_site import COMMAND, CallSite


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("/srv/app/load.py", "/srv/app/load.py:12"),
        (COMMAND, "python -c, line 12"),
        ("<string>", "exec(), line 12"),
        ("<stdin>", "standard input, line 12"),
        ("<doctest shop.price[0]>", "doctest shop.price[0], line 12"),
    ],
)
def test_its_name(file: str, named: str) -> None:
    site = CallSite(file, 12, "fetch")
    assert site.at() == named
    assert str(site) == f"{named} fetch"
    assert site.has_file == (file[0] == "/")


def test_a_shorter_name_is_of_files_only() -> None:
    assert CallSite("/srv/app/load.py", 12, "fetch").at("load.py") == "load.py:12"
    assert CallSite("<string>", 12, "fetch").at("<string>") == "exec(), line 12"
