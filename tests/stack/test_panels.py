"""Every panel shows what is known of a program that exports every 60 s, as the SDK does, or every 5 s."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from poolscope.signals import names, table
from stack.boards import BOARDS
from stack.panels import series
from stack.ports import Ports
from stack.programs import COMPONENTS, ROOT, Stack
from stack.queries import Asking
from tests.stack.known_load import ANSWER, HANDSHAKE, LOST, MOST, ROUNDS, TURN
from tests.stack.within import Within, about

pytestmark = pytest.mark.stack

INTERVALS = (60.0, 5.0)
SHOWN = 6
"""The exports to look at: not near the first one, at which everything begins."""
BEFORE = 1.3
"""Seconds from an export to the next step of the panels."""
JOB, INSTANCE = "known", "one"
OPENING = ("thrown away", "two each", "nobody")
"""Servers that are called by new clients in each round."""


def environment(interval: float) -> str:
    return f"every-{interval:.0f}s"


@dataclass
class Known:
    """The program's own truth, and a Prometheus that got its exports once at each interval."""

    prometheus: str
    truth: dict
    ended: float
    """The time of the last export, for every interval."""

    def asking(self, interval: float) -> Asking:
        return Asking(
            service=JOB,
            instance=INSTANCE,
            environment=environment(interval),
            export=interval,
            step=interval,
            range=SHOWN * interval,
        )

    def shown(self, panel, interval: float) -> dict[str, list[float]]:
        """The values of each line, without lines that are always 0."""
        found = series(self.prometheus, panel, self.asking(interval), self.ended + BEFORE)
        values = {each.name: [value for _, value in each.points] for each in found}
        return {name: output for name, output in values.items() if any(output)}

    def a_round(self, number: str) -> dict[str, float]:
        """What the servers counted between two exports."""
        before, after = self.truth["seen"][-2:]
        return {name: after[name][number] - before[name][number] for name in after}

    def rest(self, *names: str) -> list[float]:
        """Average seconds of pause before a reuse of these servers' connections, in each round."""
        reuses = sum(self.a_round("requests")[name] - self.a_round("connections")[name] for name in names)
        return [
            sum(after[name]["rest"] - before[name]["rest"] for name in names) / reuses
            for before, after in itertools.pairwise(self.truth["seen"])
        ]

    def up_to(self, metric: str, low: float, high: float, *names: str) -> Within:
        """From the start of a bucket to the end of a later one, if the slowest call to these servers fell into that."""
        longest = max(self.truth["longest"][name] for name in names)
        bounds = table.METRICS[metric].few or ()
        return Within(low, max(high, min((bound for bound in bounds if bound >= longest), default=math.inf)))

    def spent(self, usual: float, *names: str) -> float:
        """Seconds of setup in a round at most: on a busy machine, all that the calls to these servers took."""
        return max(usual, sum(self.truth["spent"][name] for name in names))

    def fast(self, metric: str, name: str) -> Within:
        return self.up_to(metric, 0.0, 0.25, name)

    def place(self, name: str) -> str:
        port = self.truth["nobody"] if name == "nobody" else self.truth["ports"][name]
        return f"{'localhost' if name == 'thrown away' else '127.0.0.1'}:{port}"


def sent(request: ExportMetricsServiceRequest, at: float, began: float, interval: float) -> bytes:
    """The same export as if it had happened at another time, in its own environment."""
    for resource in request.resource_metrics:
        del resource.resource.attributes[:]
        for name, value in (
            ("service.name", JOB),
            ("service.instance.id", INSTANCE),
            ("deployment.environment.name", environment(interval)),
        ):
            resource.resource.attributes.add(key=name).value.string_value = value
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                point.time_unix_nano, point.start_time_unix_nano = int(at * 1e9), int(began * 1e9)
                if metric.WhichOneof("data") != "gauge":
                    del point.exemplars[:]
    return request.SerializeToString()


@pytest.fixture(scope="module")
def known(component, tmp_path_factory):
    for name in COMPONENTS:
        component(name)
    folder = tmp_path_factory.mktemp("known")
    command = [sys.executable, "-m", "tests.stack.known_load", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stderr[-2000:]
    stack = Stack(folder, Ports.any(), may_build=False)
    prometheus = stack.ports.url("prometheus")
    stack.start_component(stack.prometheus)
    # Shortly before a step of both intervals, because in practice nobody looks exactly at an export.
    ended = math.floor(time.time() / INTERVALS[0]) * INTERVALS[0] - BEFORE
    try:
        for interval in INTERVALS:
            for number in range(ROUNDS):
                request = ExportMetricsServiceRequest.FromString(
                    (folder / f"round-{number:02}.pb").read_bytes()
                )
                at = ended - (ROUNDS - 1 - number) * interval
                body = sent(request, at, ended - ROUNDS * interval, interval)
                asked = urllib.request.Request(
                    f"{prometheus}/api/v1/otlp/v1/metrics",
                    data=body,
                    headers={"Content-Type": "application/x-protobuf"},
                )
                urllib.request.urlopen(asked, timeout=30).close()
        yield Known(prometheus, json.loads((folder / "truth.json").read_text(encoding="utf-8")), ended)
    finally:
        stack.stop()


def by_server(known: Known, interval: float) -> dict[str, dict[str, object]]:
    """What each panel shows of each server: the rest of the line's name, and its value."""
    requests, opened = known.a_round("requests"), known.a_round("connections")
    return {
        "Reuse ratio": {"kept": 1.0, "shared": 1.0, "two each": 0.5},
        "Connections opened against requests": {
            **{f"{name} requests": count / interval for name, count in requests.items()},
            **{f"{name} opened": count / interval for name, count in opened.items()},
        },
        "Requests per connection": {"thrown away": 1.0, "two each": 2.0},
        "Connections used once": {"thrown away": 1.0},
        "Why connections were closed": {
            "thrown away client_close (client)": 5 / interval,
            "two each client_close (client)": 1 / interval,
        },
        "Open connections": {"held active": 1.0, "kept idle": 1.0, "shared idle": 1.0},
        "Idle time at reuse": {name: about(known.rest(name)) for name in ("kept", "shared", "two each")},
        "Age of closed connections": {
            "thrown away": known.up_to(names.CONNECTION_DURATION, 0.2, 0.5, "thrown away"),
            "two each": known.fast(names.CONNECTION_DURATION, "two each"),
        },
        "Requests without a connection": {"held": 2.0},
        "Waiting for a connection": {
            # The buckets of a turn of the shared connection, and of the patience of a request that gives up.
            "shared waited": known.up_to(names.WAIT_TIME, 0.1, 1.0, "shared"),
            "held waited": known.up_to(names.WAIT_TIME, 0.01, 0.1, "held"),
            "held oldest": Within(0.1, math.inf),
        },
        "Busy connections": {"held": 1.0},
        "Pool timeouts": {"held": 1 / interval},
        "Requests in progress": {"held": 3.0},
        "Wasted on setup": {
            "thrown away": handshakes(known, interval),
            "two each": Within(0.0, known.spent(0.2, "two each") / interval),
            "nobody": Within(0.0, known.spent(0.2, "nobody") / interval),
        },
        "Failed setups": {"nobody connect": 2 / interval},
        "Request duration, 95th centile": {
            "thrown away": known.up_to(names.REQUEST_DURATION, 0.5, 1.0, "thrown away"),
            "shared": known.up_to(names.REQUEST_DURATION, 0.25, 0.75, "shared"),
            **{
                name: known.fast(names.REQUEST_DURATION, name)
                for name in ("kept", "two each", "nobody", "held")
            },
        },
        "Requests by server": {name: count / interval for name, count in requests.items()},
    }


def handshakes(known: Known, interval: float) -> Within:
    return Within(5 * HANDSHAKE / interval, known.spent(10 * HANDSHAKE, "thrown away") / interval)


def of_process(known: Known, interval: float) -> dict[str, dict[str, object]]:
    """The values of panels that are not split by server."""
    return {
        "Clients built": {
            "httpx.Client": 5 / interval,
            "requests.Session": 1 / interval,
            "requests.get": 2 / interval,
        },
        "Clients alive": {"httpx.Client": 3.0},
        "Pool in use": {"httpx.Client": 1 / MOST},
        "DNS lookups": {"localhost": known.fast(names.DNS_DURATION, "thrown away")},
        "Wasted on building clients": {
            "total": Within(0.001 / interval, known.spent(5.0, *OPENING) / interval)
        },
        "Facts lost": {"": float(LOST)},
        "Hooks switched off": {"": 1.0},
        "Processes that report": {"": 1.0},
    }


def of_service(known: Known, interval: float) -> dict[str, dict[str, Any]]:
    """What each panel shows of the whole service."""
    requests, opened = known.a_round("requests"), known.a_round("connections")
    done, made = sum(requests.values()), sum(opened.values())
    connecting = Within(0.0, known.spent(0.2, *OPENING) / interval)
    return {
        "Reuse ratio": {"": (done - made) / done},
        "Connections opened against requests": {"opened": made / interval, "requests": done / interval},
        "Requests per connection": {"": 7 / 6},
        "Connections used once": {"": 5 / 6},
        "Why connections were closed": {"client_close (client)": 6 / interval},
        "Open connections": {"active": 1.0, "idle": 2.0},
        "Idle time at reuse": {"": about(known.rest("kept", "shared", "two each"))},
        "Age of closed connections": {
            "": known.up_to(names.CONNECTION_DURATION, 0.2, 0.5, "thrown away", "two each")
        },
        "Requests without a connection": {"": 2.0},
        "Waiting for a connection": {
            "waited": known.up_to(names.WAIT_TIME, 0.1, 1.0, "shared", "held"),
            "oldest": Within(0.1, math.inf),
        },
        "Busy connections": {"": 1 / 3},
        "Pool timeouts": {"": 1 / interval},
        "Requests in progress": {"": 3.0},
        "Wasted on setup": {
            "": Within(5 * HANDSHAKE / interval, known.spent(10 * HANDSHAKE, *OPENING) / interval)
        },
        "Failed setups": {"connect": 2 / interval},
        "Request duration, 95th centile": {
            "": known.up_to(names.REQUEST_DURATION, 0.5, 1.0, *known.truth["longest"])
        },
        "Setup time by phase": {"tls": handshakes(known, interval), "connect": connecting, "dns": connecting},
    }


def joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def expected(known: Known, board, title: str, interval: float) -> dict[str, object]:
    where = environment(interval)
    if title == "Top findings":
        return {f"{JOB} {where} {code}": float(count) for code, count in known.truth["findings"].items()}
    line = INSTANCE if board.one_service else f"{JOB} {where}"
    process = of_process(known, interval)
    if title in process:
        return {joined(line, name): value for name, value in process[title].items()}
    servers = by_server(known, interval)
    if title == "Requests by server":
        return {f"{line} {known.place(name)}": value for name, value in servers[title].items() if value}
    if not board.one_service:
        return {joined(line, name): value for name, value in of_service(known, interval)[title].items()}
    places = (*known.truth["ports"], "nobody")
    if title == "Setup time by phase":
        secure = of_service(known, interval)[title]
        plain = {"connect": secure["connect"]}
        output: dict[str, dict[str, Any]] = {"thrown away": secure, "two each": plain, "nobody": plain}
        return {
            f"{known.place(name)} {phase}": each for name in output for phase, each in output[name].items()
        }
    return {
        joined(known.place(name), called.removeprefix(name).strip()): value
        for called, value in servers[title].items()
        for name in places
        if called.startswith(name) and value
    }


PANELS = [
    pytest.param(board, panel, id=f"{board.uid}: {panel.title}") for board in BOARDS for panel in board.panels
]


@pytest.mark.parametrize("interval", INTERVALS, ids=environment)
@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_panel_shows_what_is_known(known, board, panel, interval):
    output = known.shown(panel, interval)
    wanted = expected(known, board, panel.title, interval)
    assert set(output) == set(wanted)
    for name, value in wanted.items():
        assert value or value != value, name
        assert len(output[name]) == (1 if panel.kind in ("table", "number") else SHOWN + 1)
        for each in output[name]:
            assert each == (value if isinstance(value, Within) else pytest.approx(value, rel=1e-6)), name


def test_all_rounds_were_alike(known):
    """The expectations for the panels are those of one round; this makes that valid."""
    seen = known.truth["seen"]
    rounds = [
        {
            name: {
                number: after[name][number] - before[name][number] for number in ("requests", "connections")
            }
            for name in after
        }
        for before, after in itertools.pairwise(seen)
    ]
    assert rounds == [rounds[0]] * len(rounds)
    assert known.a_round("requests") == {"kept": 8, "thrown away": 5, "shared": 3, "two each": 2, "held": 0}
    assert known.a_round("connections") == {
        "kept": 0,
        "thrown away": 5,
        "shared": 0,
        "two each": 1,
        "held": 0,
    }
    assert HANDSHAKE + ANSWER < 1.0
    assert 0.25 < 2 * TURN < 0.5


@pytest.mark.parametrize("interval", INTERVALS, ids=environment)
def test_the_oldest_wait_is_as_old_as_it_was_at_its_export(known, interval):
    (panel,) = [panel for panel in BOARDS[0].panels if panel.title == "Waiting for a connection"]
    (output,) = [values for name, values in known.shown(panel, interval).items() if name.endswith("oldest")]
    for each, (least, most) in zip(output, known.truth["oldest"][-len(output) :], strict=True):
        assert least <= each <= most
