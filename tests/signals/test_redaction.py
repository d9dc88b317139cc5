"""What may be sent about a request."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolscope.signals.redaction import (
    SIGNED_KEYS,
    excluding,
    known_methods,
    method,
    server,
    url_full,
)

HTTP = ("http", "shop.example", None)


@pytest.mark.parametrize(
    ("origin", "target", "url"),
    [
        (HTTP, "/a?b=", "http://shop.example/a?b="),
        ((b"https", b"shop.example", 8443), b"/a", "https://shop.example:8443/a"),
        (("https", "shop.example", 443), "/", "https://shop.example/"),
        (("http", "::1", 80), "/", "http://[::1]/"),
        (HTTP, "/a?sig=secret&x=1#f", "http://shop.example/a?sig=REDACTED&x=1#f"),
        (
            HTTP,
            "/a?Sig=kept&sig=&signature=kept",
            "http://shop.example/a?Sig=kept&sig=REDACTED&signature=kept",
        ),
        (
            HTTP,
            "/?AWSAccessKeyId=1&Signature=2",
            "http://shop.example/?AWSAccessKeyId=REDACTED&Signature=REDACTED",
        ),
        (
            HTTP,
            "/?X-Amz-Signature=1&X-Amz-Credential=2&X-Amz-Security-Token=3&X-Goog-Signature=4",
            (
                "http://shop.example/?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED"
                "&X-Amz-Security-Token=REDACTED&X-Goog-Signature=REDACTED"
            ),
        ),
        (HTTP, "http://u:p@shop.example/a@b?c=@", "http://REDACTED:REDACTED@shop.example/a@b?c=@"),
        (HTTP, "http://u@shop.example", "http://REDACTED@shop.example"),
        (HTTP, "http://shop.example/a?mail=u@x", "http://shop.example/a?mail=u@x"),
        (HTTP, "*", "http://shop.example/*"),
        (HTTP, None, "http://shop.example/"),
    ],
)
def test_url_full_keeps_everything_but_secrets(origin, target, url) -> None:
    assert url_full(origin, target) == url


QUERY_WORDS = st.text("abc/?=@:.%+-", max_size=8)
SECRETS = QUERY_WORDS.map("SECRET{}".format)


@settings(deadline=None)
@given(
    before=st.lists(QUERY_WORDS, max_size=3),
    key=st.sampled_from(sorted(SIGNED_KEYS)),
    secret=SECRETS,
    after=st.lists(QUERY_WORDS, max_size=3),
    fragment=st.sampled_from(["", "#f", "#"]),
)
def test_a_signature_is_never_in_it(before, key, secret, after, fragment) -> None:
    query = "&".join([*before, f"{key}={secret}", *after])
    hidden = "&".join([*before, f"{key}=REDACTED", *after])
    # A value beside a signature is not a signature: it is kept as it was sent.
    assert url_full(HTTP, f"/a?{query}{fragment}") == f"http://shop.example/a?{hidden}{fragment}"


@settings(deadline=None)
@given(
    user=st.text("abc@:.%+-", max_size=8),
    password=st.none() | st.text("abc@:.%+-", max_size=8),
    rest=st.sampled_from(["", "/", "/a@b", "?q=@", "/x?mail=u@x", "#@"]),
)
def test_userinfo_is_never_in_it(user, password, rest) -> None:
    userinfo = f"SECRET{user}" + ("" if password is None else f":SECRET{password}")
    shown = url_full(HTTP, f"http://{userinfo}@shop.example{rest}")
    assert "SECRET" not in shown
    assert shown.endswith(f"@shop.example{rest}")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ((b"http", b"h", None), ("h", 80)),
        (("https", "h", None), ("h", 443)),
        (("https", "[::1]", 1), ("::1", 1)),
        (("ws+odd", "h", None), ("h", None)),
    ],
)
def test_the_server_is_host_and_port(origin, expected) -> None:
    assert server(origin) == expected


def test_methods_outside_the_known_ones_are_other() -> None:
    assert [method(name) for name in (b"GET", "QUERY", "get", "BREW", None)] == [
        "GET", "QUERY", "_OTHER", "_OTHER", "_OTHER",
    ]  # fmt: skip


def excluded(given: str | None, url: str) -> bool:
    pattern = excluding(given)
    assert pattern is not None
    return pattern.search(url) is not None


def test_excluded_urls_come_from_the_argument_or_the_environment(monkeypatch) -> None:
    assert excluded("health, ^http://a/", "http://a/b")
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "general")
    assert excluded(None, "http://x/general")
    monkeypatch.setenv("OTEL_PYTHON_POOLSCOPE_EXCLUDED_URLS", "own")
    assert excluded(None, "http://x/own")
    assert not excluded(None, "http://x/general")
    assert excluding("") is None
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression"):
        excluding("ok,(")


def test_known_methods() -> None:
    assert known_methods("GET, PURGE,") == {"GET", "PURGE"}
    assert known_methods(" ") == known_methods("") > {"GET", "QUERY"}, "an empty variable is none"
