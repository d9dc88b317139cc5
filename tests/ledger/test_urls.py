"""What leaves the process of a URL: no userinfo, no query values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolscope.ledger.urls import format_origin, format_url


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ((b"https", b"api.test", None), "https://api.test"),
        ((b"https", b"api.test", 443), "https://api.test"),
        (("http", "api.test", 443), "http://api.test:443"),
        (("http", "::1", 8080), "http://[::1]:8080"),
        (("http", "user:secret@api.test", 80), "http://api.test"),
    ],
)
def test_an_origin_has_no_default_port_and_no_userinfo(raw, shown):
    assert format_origin(raw) == shown


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/a/b", "https://api.test/a/b"),
        ("/a?key=s3cret&empty=&page=2", "https://api.test/a?key=…&empty=&page=…"),
        ("/a?s3cret", "https://api.test/a?…"),
        ("/a?x=1#s3cret", "https://api.test/a?x=…"),
        ("http://user:s3cret@other.test:81/p?q=s3cret", "http://other.test:81/p?q=…"),
        ("*", "https://api.test*"),
        ("http://user:s3cret@[no-address/", None),
    ],
)
def test_query_values_do_not_leave(target, shown):
    assert format_url("https://api.test", target, keep_query=False) == shown


@settings(deadline=None)
@given(
    whole=st.booleans(),
    names=st.lists(st.text("abc", max_size=3), max_size=4),
    secret=st.text("abc/?@:[].%+-", max_size=8).map("SECRET{}".format),
    fragment=st.booleans(),
)
def test_no_value_leaves_from_any_part(whole, names, secret, fragment):
    query = "&".join([f"{name}={secret}" for name in names] + [secret])
    start = f"http://{secret.translate(dict.fromkeys(map(ord, '/?[]')))}@api.test" if whole else ""
    shown = format_url(
        "https://api.test", f"{start}/p?{query}{'#' + secret if fragment else ''}", keep_query=False
    )
    assert shown is not None
    assert "api.test/p?" in shown
    assert "SECRET" not in shown
    assert [part.partition("=")[0] for part in shown.partition("?")[2].split("&")][:-1] == names


def test_query_values_leave_on_request():
    assert format_url("https://api.test", "/a?key=v", keep_query=True) == "https://api.test/a?key=v"


def test_what_was_not_observed_is_absent():
    assert format_url("https://api.test", None, keep_query=False) is None
