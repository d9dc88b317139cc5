"""How much is sent: each setting by keyword, by variable and in a file, and its effect."""

from __future__ import annotations

import inspect
import time
from typing import Any

import pytest
import requests
import urllib3

import poolscope
from poolscope.otel import PoolscopeInstrumentor
from poolscope.signals.limit import BURST, RATE
from poolscope.signals.options import EXCEPTIONS, IN_FILES, NAMES, PREFIX, Options, sane, settle

RIGHT: dict[str, tuple[Any, str]] = {
    "setup_spans": ("errors", "errors"),
    "span_facts": ("full", "full"),
    "span_links": (False, "false"),
    "span_names": ("dotnet", "dotnet"),
    "events": ("all", "all"),
    "metric_buckets": ("all", "all"),
    "max_servers": (5, "5"),
    "excluded_servers": ("*.internal", "*.internal"),
}
KEYWORDS = [name for name in inspect.signature(poolscope.instrument).parameters if name != "signals"]
VARIABLES = [
    *(PREFIX + name.upper() for name in NAMES if name != "excluded_servers"),  # any text is valid
    EXCEPTIONS,
    f"{PREFIX}EXCLUDED_URLS",
    "OTEL_PYTHON_EXCLUDED_URLS",
    f"{PREFIX}SETUP_SPAN",  # there is no such setting
]
NONSENSE = "nonsense["
"""Something that is not even a regular expression."""
WRONG = {"excluded_servers": 3, "span_links": "maybe", "max_servers": 0}


def test_every_setting_can_be_made_in_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(RIGHT) == set(NAMES)
    assert set(NAMES) <= set(inspect.signature(poolscope.instrument).parameters)
    for name, (value, text) in RIGHT.items():
        assert getattr(settle({name: value}).options, name) == value
        monkeypatch.setenv(PREFIX + name.upper(), text)
    chosen = settle({})
    assert chosen.complaints == ()
    assert {name: getattr(chosen.options, name) for name in NAMES} == {
        name: value for name, (value, _) in RIGHT.items()
    }
    assert settle({"max_servers": 9}).options.max_servers == 9, "a keyword goes before a variable"


@pytest.mark.parametrize("name", KEYWORDS)
def test_a_wrong_keyword_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: WRONG.get(name, NONSENSE)}
    with pytest.raises((TypeError, ValueError), match=name):
        poolscope.instrument(**options)
    assert not poolscope.instrumentor.INSTRUMENTOR.active


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_wrong_variable_is_one_line_and_the_rest_works(
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    telemetry: Any,
    server: Any,
) -> None:
    monkeypatch.setenv(variable, NONSENSE)
    with telemetry.instrumented():
        requests.get(server.url("/a"), timeout=5)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"poolscope: {variable}")
    assert line.endswith(("; the default is used", ", and ignored"))
    assert len(telemetry.requests) == 1


@pytest.mark.parametrize("name", IN_FILES)
def test_a_wrong_field_of_a_file_is_one_line_and_the_rest_works(
    name: str, capfd: pytest.CaptureFixture[str], telemetry: Any, server: Any
) -> None:
    instrumentor = PoolscopeInstrumentor()
    instrumentor.instrument(**telemetry.providers, **{name: WRONG.get(name, NONSENSE)})
    try:
        requests.get(server.url("/a"), timeout=5)
    finally:
        instrumentor.uninstrument()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"poolscope: {name}") and line.endswith("; the default is used")
    assert len(telemetry.requests) == 1


def test_what_a_file_may_say() -> None:
    """YAML reads an off without quotes as false, and an empty value as none."""
    given = {
        "events": False,
        "setup_spans": False,
        "span_links": False,
        "max_servers": None,
        "span_facts": False,
    }
    right, complaints = sane({**given, "excluded": "health", "request_hook": "x"}, KEYWORDS)
    assert right == {"events": "off", "setup_spans": "off", "span_links": False}
    assert complaints == [
        "span_facts is False, not lean or full; the default is used",
        "excluded is not a setting, and ignored",
        "request_hook is not a setting, and ignored",
    ]


def use(telemetry: Any, server: Any, **options: Any) -> None:
    with telemetry.instrumented(**options), requests.Session() as session:
        for path in ("/a", "/b"):
            session.get(server.url(path))
        with pytest.raises(requests.ConnectionError):
            session.get("http://127.0.0.1:1/")


@pytest.mark.parametrize(("chosen", "setups"), [("full", 2), ("errors", 1), ("off", 0)])
def test_spans_of_setup(chosen: Any, setups: int, telemetry: Any, server: Any) -> None:
    use(telemetry, server, setup_spans=chosen)
    assert len(telemetry.named("HTTP connection_setup")) == setups
    first, second, failed = telemetry.requests
    # A failed setup is always visible: on its request, in an event and in a counter.
    assert failed.attributes["error.type"] == "connection_refused"
    assert "poolscope.pool.wait_time" not in failed.attributes, "nobody waited"
    assert failed.attributes["poolscope.connection.id"] == first.attributes["poolscope.connection.id"] + 1
    assert len(telemetry.events("poolscope.connection.setup_failed")) == 1
    assert len(second.links) == (chosen == "full")
    # Without a setup span, constant facts are on the span of the request that opened the connection.
    assert ("poolscope.connection.via" in first.attributes) == (chosen != "full")
    assert "poolscope.connection.via" not in second.attributes


def test_all_facts_on_every_request(telemetry: Any, server: Any) -> None:
    use(telemetry, server, span_facts="full", span_links=False)
    for span in telemetry.requests[:2]:
        assert span.attributes["poolscope.connection.via"] == "direct"
        assert span.attributes["poolscope.connection.age"] >= 0
        assert span.attributes["poolscope.request.send_time"] >= 0
        assert span.attributes["poolscope.request.answer_time"] > 0
        assert not span.links


def test_some_spans_of_setup(telemetry: Any, server: Any) -> None:
    """By default a client per request sends a bounded number of them, but all the failed ones."""
    asked = int(BURST) + 30
    begun = time.monotonic()
    with telemetry.instrumented():
        for _ in range(asked):
            with urllib3.PoolManager() as manager:
                manager.request("GET", server.url("/a"))
        took = time.monotonic() - begun
        with urllib3.PoolManager() as manager, pytest.raises(urllib3.exceptions.MaxRetryError):
            manager.request("GET", "http://127.0.0.1:1/", retries=0)
    traced = {span.attributes["poolscope.connection.id"] for span in telemetry.named("HTTP connection_setup")}
    assert BURST < len(traced) <= BURST + 2 + took * RATE
    assert len(telemetry.requests) == asked + 1
    for span in telemetry.requests:
        # Without a setup span, its facts are on the request's.
        has_setup = span.attributes["poolscope.connection.id"] in traced
        assert ("poolscope.connection.via" in span.attributes) != has_setup
    assert telemetry.requests[-1].attributes["poolscope.connection.id"] in traced


def test_names_as_in_dotnet(telemetry: Any, server: Any) -> None:
    use(telemetry, server, span_names="dotnet")
    own = {span.name for span in telemetry.spans}
    assert {
        f"HTTP connection_setup 127.0.0.1:{server.port}",
        f"socket connect 127.0.0.1:{server.port}",
    } <= own


@pytest.mark.parametrize(("chosen", "closed", "failed"), [("all", 1, 1), ("problems", 0, 1), ("off", 0, 0)])
def test_events(chosen: Any, closed: int, failed: int, telemetry: Any, server: Any) -> None:
    use(telemetry, server, events=chosen)
    assert len(telemetry.events("poolscope.connection.closed")) == closed
    assert len(telemetry.events("poolscope.connection.setup_failed")) == failed
    assert telemetry.total("poolscope.connections.closed") == 1


def test_all_buckets(telemetry: Any, server: Any) -> None:
    use(telemetry, server, metric_buckets="all")
    (lived,) = telemetry.points("http.client.connection.duration")
    assert len(lived.explicit_bounds) == 14
    phases = {
        p.attributes["poolscope.setup.phase"] for p in telemetry.points("poolscope.connection.setup.duration")
    }
    assert phases == {"connect", "total"}


def test_servers_beyond_the_limit_are_not_named(telemetry: Any, server: Any) -> None:
    use(telemetry, server, excluded_servers=f"127.0.0.1:{server.port}, *.internal")
    assert [span.attributes["server.port"] for span in telemetry.requests] == [1]
    opened = {
        (point.attributes["server.address"], point.value)
        for point in telemetry.points("poolscope.connections.opened")
    }
    assert opened == {("other", 1), ("127.0.0.1", 0)}
    assert telemetry.total("http.client.request.duration") == 1
    assert telemetry.events("poolscope.connection.closed") == []
    assert server.traceparents == [None, None]


def test_servers_distinguished(telemetry: Any, server: Any) -> None:
    use(telemetry, server, max_servers=1)
    opened = {
        point.attributes["server.address"] for point in telemetry.points("poolscope.connections.opened")
    }
    assert opened == {"127.0.0.1", "other"}
    # Events are not series, so each names its server.
    ports = [e.attributes["server.port"] for e in telemetry.events("poolscope.connection.setup_failed")]
    assert ports == [1]


@pytest.mark.parametrize(("excluded", "expected"), [("127.*", 0), (None, 1)])
def test_a_finding_of_an_excluded_server_is_no_event(
    excluded: str | None, expected: int, telemetry: Any, server: Any
) -> None:
    with telemetry.instrumented(excluded_servers=excluded):
        for _ in range(5):
            requests.get(server.url("/a"))
    assert telemetry.total("poolscope.findings") == 1
    assert len(telemetry.events("poolscope.finding")) == expected


def test_the_defaults_are_the_documented_ones() -> None:
    assert settle({}).options == Options()
