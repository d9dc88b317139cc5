"""``view``, ``diff`` and ``report`` of almost right files and answers end with a line, never a traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolscope.cli.commands import commands
from tests.cli.test_control_characters import prometheus

pytestmark = pytest.mark.load

CORPUS = Path(__file__).with_name("corpus")
"""Inputs that failed once, and the lines they were reduced to."""
FEW, MANY = 150, 20_000
DEEP = 30_000

SITE = {"file": "/srv/shop/fetch.py", "line": 7, "function": "fetch"}
PHASES = {"connect": {"start": 1.0, "duration": 0.01}, "total": {"start": 1.0, "duration": 0.02}}


def recording() -> list[dict[str, Any]]:
    """A saved file with a record of each kind, and a finding."""
    lines: list[dict[str, Any]] = [
        {
            "type": "header", "pid": 1, "schema": 1, "poolscope": "0.1.0", "python": "3.11.7", "wall_at_zero": 1.7e9,
            "started_at": 0.5, "libraries": {"requests": "2.34.2"}, "program": "fetch.py", "parent": None, "origins": [],
        }
    ]  # fmt: skip
    for number in range(1, 4):
        at = float(number)
        client = {
            "type": "client", "pid": 1, "id": number, "kind": "requests.get", "created_at": at, "construction_time": 0.01,
            "call_site": SITE, "sdk_call_site": None, "loop": None, "settings": 1, "requests": 1, "closed_at": None,
            "close_kind": None,
        }  # fmt: skip
        connection = {
            "type": "connection", "pid": 1, "id": number, "client": number, "pool": number, "origin": "http://a",
            "via": "direct", "local_address": "127.0.0.1", "local_port": 1, "peer_address": "127.0.0.1", "peer_port": 2,
            "setup_started_at": at, "opened_at": at + 0.02, "setup": PHASES, "opened_by": number, "inherited": False,
            "closed_at": None, "close_time": None, "close_reason": None, "closed_by": None, "error": None,
        }  # fmt: skip
        lines += [
            client,
            {
                "type": "pool", "pid": 1, "id": number, "client": number, "max_connections": 10, "max_idle": 10,
                "keepalive_expiry": None, "blocking": False,
            },
            connection,
            {
                "type": "exchange", "pid": 1, "id": number, "connection": number, "client": number, "pool": number,
                "origin": "http://a", "method": "GET", "url": "http://a/1", "request_number": 1, "reused": False,
                "pool_wait": 0.002, "started_at": at, "sent_at": at, "headers_at": at + 0.1, "finished_at": at + 0.2,
                "status": 200, "error": None, "body_complete": True, "in_flight": 1, "call_site": SITE,
            },
            {**connection, "closed_at": at + 0.3, "close_time": 0.001, "close_reason": "client_close", "closed_by": "client"},
            {**client, "closed_at": at + 0.3, "close_kind": "close"},
        ]  # fmt: skip
    return [
        *lines,
        {
            "type": "finding", "pid": 1, "code": "PS101", "title": "client per request", "origin": "http://a",
            "call_site": SITE, "sdk_call_site": None, "count": 3, "cost": 0.1, "saving": None, "fix": "", "sentence": "",
        },
        {
            "type": "summary", "pid": 1, "ended_at": 9.0, "wall_time": 8.5, "exit_code": 0, "requests": 3, "connections": 3,
            "clients": 3, "facts_dropped": 0, "hooks_disabled": [], "children_not_followed": 0,
        },
    ]  # fmt: skip


def answer() -> dict[str, Any]:
    """A Prometheus's answer."""
    labels = {"service_name": "shop", "poolscope_finding_code": "PS101"}
    series = [{"metric": labels, "value": [1.7e9, "12.5"]}, {"metric": {}, "value": [1.7e9, "NaN"]}]
    return {"status": "success", "data": {"resultType": "vector", "result": series}}


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, 0, -1, 1, 2**63, -(2**70), 10**400, 0.0, -0.0, 1e308, -1e308, float("nan"), float("inf"),
        float("-inf"), "", "x", "\x00", "\ud800", "1e400", "nan", [], {}, [[]], {"": None}, [1.7e9], [0, []],
        {"file": 1, "line": "x", "function": None}, {"start": "x", "duration": {}}, {"connect": 5}, "@deep@",
    ]
)  # fmt: skip
VALUES = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside ``value``, at any depth."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutate(draw: st.DrawFn, value: Any) -> None:
    """Change one thing inside ``value``."""
    container, key = draw(st.sampled_from(list(places(value))))
    kind = draw(st.sampled_from(["other value", "gone", "of somewhere else", "one more"]))
    if kind == "other value":
        container[key] = deepcopy(draw(VALUES))
    elif kind == "gone":
        del container[key]
    elif kind == "of somewhere else":
        other, name = draw(st.sampled_from(list(places(value)))) if list(places(value)) else (container, key)
        container[key] = deepcopy(other[name])
    elif isinstance(container, dict):
        container[draw(st.text(max_size=10))] = deepcopy(draw(VALUES))
    else:
        container.insert(key, deepcopy(draw(VALUES)))


def written(value: Any) -> str:
    return json.dumps(value).replace('"@deep@"', "[" * DEEP + "]" * DEEP)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A recording with some things changed."""
    lines: list[Any] = json.loads(json.dumps(recording()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["a field", "a field", "a field", "order", "twice", "gone", "other"]))
        if kind == "a field":
            held = [lines[at]]
            mutate(draw, held)
            lines[at : at + 1] = held
        elif kind == "order":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
        elif kind == "twice":
            lines.insert(draw(st.integers(0, len(lines) - 1)), deepcopy(lines[at]))
        elif kind == "gone" and len(lines) > 1:
            del lines[at]
        else:
            lines[at] = deepcopy(draw(VALUES))
        if not lines:
            lines.append(None)
    data = "".join(written(line) + "\n" for line in lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=20))
    return data


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A Prometheus's answer with some things changed."""
    held: list[Any] = [answer()]
    for _ in range(draw(st.integers(1, 4))):
        if held:
            mutate(draw, held)
    data = written(held[0] if held else None).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=20))
    return data


def command(*words: str) -> Result:
    return CliRunner().invoke(commands, words)


def ends_well(result: Result, *statuses: int) -> None:
    """No exception came out, and no traceback was printed."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in statuses
    assert "Traceback" not in result.output
    # With its unit: the word alone may be the version or the path that a mutation wrote.
    assert not re.search(r"\b(nan|inf) ?(s|ms|µs|min|h|%|×)\W", result.stdout), "no number is shown as one"


def views(path: str) -> None:
    for words in (("view", "--no-color"), ("view", "--json"), ("diff",), ("diff", "--json")):
        result = command(*words, *[path] * (2 if words[0] == "diff" else 1))
        ends_well(result, 0, 1)
        if words[-1] == "--json" and result.stdout:
            json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


FAST = settings(
    max_examples=FEW,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
THOROUGH = settings(FAST, max_examples=MANY // 2, derandomize=False, print_blob=True)
long = pytest.mark.long(reason="10,000 mutated files and as many answers")
patiently = pytest.mark.timeout(7_200)


@pytest.fixture
def mutated(tmp_path: Path) -> Path:
    return tmp_path / "mutated.jsonl"


def view_mutated(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    views(str(path))


@pytest.fixture(scope="module")
def fleet() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a Prometheus, and the answer that it gives to every request."""
    current = [b""]
    with prometheus(lambda path: current[0]) as url:
        yield url, current


def report_mutated(data: bytes, fleet: tuple[str, list[bytes]]) -> None:
    url, current = fleet
    current[0] = data
    ends_well(command("report", "--prometheus", url), 0, 2)
    services = command("report", "--prometheus", url, "--json")
    ends_well(services, 0, 2)
    if services.stdout:
        json.loads(services.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.regress
@given(data=files())
@FAST
def test_files(data: bytes, mutated: Path) -> None:
    view_mutated(data, mutated)


@long
@patiently
@given(data=files())
@THOROUGH
def test_many_files(data: bytes, mutated: Path) -> None:
    view_mutated(data, mutated)


@pytest.mark.regress
@given(data=answers())
@FAST
def test_answers(data: bytes, fleet: tuple[str, list[bytes]]) -> None:
    report_mutated(data, fleet)


@long
@patiently
@given(data=answers())
@THOROUGH
def test_many_answers(data: bytes, fleet: tuple[str, list[bytes]]) -> None:
    report_mutated(data, fleet)


@pytest.mark.regress
@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_file_that_broke_once(path: Path) -> None:
    views(str(path))


@pytest.mark.regress
@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_an_answer_that_broke_once(path: Path, fleet: tuple[str, list[bytes]]) -> None:
    report_mutated(path.read_bytes(), fleet)


def test_the_originals_are_right(mutated: Path, fleet: tuple[str, list[bytes]]) -> None:
    mutated.write_text("".join(json.dumps(line) + "\n" for line in recording()))
    result = command("view", "--no-color", str(mutated))
    assert result.exit_code == 0
    assert "PS101 client per request" in result.stdout
    url, current = fleet
    current[0] = json.dumps(answer()).encode()
    assert "shop" in command("report", "--prometheus", url).stdout
