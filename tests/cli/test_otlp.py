"""``--otlp``: what a real receiver gets, from programs without OpenTelemetry and from some with it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from poolscope.recording.otlp import EXIT_TIMEOUT
from stack.running import free_port
from tests.cli.conftest import Program
from tests.receiver import Receiver, receiving

pytestmark = pytest.mark.processes

PROTOCOLS = ["grpc", "http/protobuf"]
THREE_AND_FOUR = """
import threading, requests, httpx
for _ in range(3):
    requests.get("{url}4")
with httpx.Client() as client:
    for _ in range(4):
        client.get("{url}4")
print([thread.name for thread in threading.enumerate()])
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def run(
    program: Program, receiver: Receiver, protocol: str, *options: str, **env: str
) -> subprocess.CompletedProcess[str]:
    environment = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol} | env
    return program.run("--quiet", "--otlp", receiver.endpoint(protocol), *options, env=environment)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_everything_arrives(
    program: Program, receiver: Receiver, accepted: Callable[[], int], protocol: str
) -> None:
    program.write(THREE_AND_FOUR)
    done = run(program, receiver, protocol, OTEL_EXPORTER_OTLP_HEADERS="key=from-the-environment")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['MainThread']\n", "")
    assert {via for via, _ in receiver.deliveries} == {protocol}
    assert {headers["key"] for headers in receiver.headers} == {"from-the-environment"}
    assert accepted() == 4
    assert len(receiver.named("HTTP connection_setup")) == 4
    assert receiver.total("poolscope.connections.opened") == 4
    assert receiver.total("poolscope.connections.closed") == 4
    assert len(receiver.events("poolscope.connection.closed")) == 4
    assert len(receiver.ours(3)) == 7
    assert receiver.total("http.client.request.duration") == 7
    assert receiver.total("poolscope.requests", poolscope__connection__reused=True) == 3
    assert len(receiver.events("poolscope.finding")) == 1
    assert receiver.total("poolscope.clients.created") == 4
    assert {span.resource["service.name"] for span in receiver.spans} == {"program"}


@pytest.mark.parametrize(
    ("endpoint", "env", "via"),
    [
        ("127.0.0.1:{grpc}", {}, "grpc"),
        ("http://127.0.0.1:{http}", {}, "http/protobuf"),
        ("http://127.0.0.1:{http}/", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, "http/protobuf"),
        ("127.0.0.1:{grpc}", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, "grpc"),
    ],
)
def test_the_endpoint_decides_the_protocol(
    program: Program, receiver: Receiver, endpoint: str, env: dict[str, str], via: str
) -> None:
    program.write("import requests; requests.get('{url}4')")
    at = endpoint.format(grpc=receiver.grpc_port, http=receiver.http_port)
    done = program.run("--quiet", f"--otlp={at}", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert {protocol for protocol, _ in receiver.deliveries} == {via}
    assert len(receiver.ours(3)) == 1


def test_the_service_has_the_name_that_the_environment_gives_it(program: Program, receiver: Receiver) -> None:
    program.write("import requests; requests.get('{url}4')")
    run(
        program,
        receiver,
        "grpc",
        OTEL_SERVICE_NAME="shop",
        OTEL_RESOURCE_ATTRIBUTES="service.instance.id=one",
    )
    (span,) = receiver.ours(3)
    assert (span.resource["service.name"], span.resource["service.instance.id"]) == ("shop", "one")


FORKS = """
import os, requests
session = requests.Session()
session.get("{url}4")
pids = []
for number in range(1, 4):
    pid = os.fork()
    if pid == 0:
        for _ in range(number):
            requests.get("{url}4")
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
session.get("{url}4")
session.close()
"""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_forked_children_send_their_own_telemetry(
    program: Program, receiver: Receiver, accepted: Callable[[], int], protocol: str
) -> None:
    program.write(FORKS)
    done = run(program, receiver, protocol)
    assert (done.returncode, done.stderr) == (0, "")
    assert accepted() == 1 + 1 + 2 + 3
    opened = receiver.points("poolscope.connections.opened")
    assert sorted(value for *_, value, _ in opened) == [1, 1, 2, 3]
    assert len({about["process.pid"] for about, *_ in opened}) == 4
    assert len({about["service.instance.id"] for about, *_ in opened}) == 4
    durations = receiver.points("http.client.request.duration")
    assert sorted(value for *_, value, _ in durations) == [1, 2, 2, 3]
    assert len(receiver.ours(3)) == 2 + 1 + 2 + 3


def test_followed_processes_send_as_well(program: Program, receiver: Receiver) -> None:
    program.write(
        "import subprocess, sys, requests\n"
        "requests.get('{url}4')\n"
        "subprocess.run([sys.executable, '-c', 'import requests; requests.get(\"{url}4\")'], check=True)"
    )
    done = run(program, receiver, "http/protobuf", "--follow")
    assert (done.returncode, done.stderr) == (0, "")
    assert len({span.resource["process.pid"] for span in receiver.ours(3)}) == 2


ENDINGS = {
    "exit": "import sys; sys.exit(3)",
    "exception": "raise ValueError('what happened')",
    "os._exit": "import os; os._exit(5)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "SIGINT": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_last_facts_are_delivered_however_the_program_ends(
    program: Program, receiver: Receiver, ending: str
) -> None:
    program.write("import requests; requests.get('{url}4')\n" + ENDINGS[ending])
    bare = program.bare()
    done = run(program, receiver, "grpc")
    assert (done.returncode, done.stdout, done.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert len(receiver.ours(3)) == 1
    assert receiver.total("poolscope.connections.closed") == 1


def test_a_long_running_program_sends_meanwhile(program: Program, receiver: Receiver) -> None:
    program.write("import requests, sys; requests.get('{url}4'); sys.stdin.read()")
    process = program.start(
        "--quiet", "--otlp", receiver.endpoint("http/protobuf"), stdin=subprocess.PIPE,
        env={"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "100"},
    )  # fmt: skip
    with process:
        receiver.until(
            lambda: len(receiver.ours(3)) == 1 and receiver.total("poolscope.connections.opened") == 1
        )
        receiver.until(lambda: receiver.deliveries["http/protobuf", "metrics"] >= 3)
        process.send_signal(signal.SIGKILL)
    assert len(receiver.ours(3)) == 1
    assert (
        receiver.total("poolscope.clients.created") == 1
    )  # the exporters' own connections are not the program's


OWN = """
import sys
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

print(type(trace.get_tracer_provider()).__name__, type(metrics.get_meter_provider()).__name__)
exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))
RequestsInstrumentor().instrument()
import requests
with requests.Session() as session:
    for _ in range(2):
        session.get("{url}4")
for span in exporter.get_finished_spans():
    print(span.name, dict(span.attributes), len(span.links), span.resource.attributes["service.name"])
for resource in reader.get_metrics_data().resource_metrics:
    print([metric.name for scope in resource.scope_metrics for metric in scope.metrics])
"""


def test_providers_of_the_program_stay_as_they_are(program: Program, receiver: Receiver) -> None:
    program.write(OWN)
    bare = program.bare()
    assert "GET" in bare.stdout
    done = run(program, receiver, "http/protobuf")
    assert (done.returncode, done.stdout, done.stderr) == (0, bare.stdout, "")
    assert len(receiver.ours(3)) == 2
    assert receiver.total("http.client.request.duration") == 2
    assert len(receiver.named("HTTP connection_setup")) == 1


ALSO = """
import poolscope, requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
poolscope.instrument()
with requests.Session() as session:
    for _ in range(2):
        session.get("{url}4")
poolscope.uninstrument()
requests.get("{url}4")
print(sorted(span.name.partition(" ")[0] for span in exporter.get_finished_spans()))
"""


def test_a_program_that_is_instrumented_itself_keeps_its_spans(program: Program, receiver: Receiver) -> None:
    program.write(ALSO)
    done = run(program, receiver, "grpc")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['GET', 'GET', 'HTTP', 'socket']\n", "")
    assert len(receiver.ours(3)) == 1
    assert receiver.total("poolscope.connections.opened") == 2
    assert receiver.total("http.client.request.duration") == 3
    assert len(receiver.events("poolscope.connection.closed")) == 2


def test_a_program_may_patch_everything_first(program: Program, receiver: Receiver) -> None:
    program.write(
        "import gevent.monkey\ngevent.monkey.patch_all()\nimport gevent, requests\n"
        "def get(_):\n    return requests.get('{url}4').status_code\n"
        "print([job.get() for job in [gevent.spawn(get, number) for number in range(5)]])"
    )
    done = run(program, receiver, "http/protobuf")
    assert (done.returncode, done.stdout) == (0, "[200, 200, 200, 200, 200]\n")
    if sys.version_info[:2] != (3, 12):
        assert done.stderr == ""
        assert len(receiver.ours(3)) == 5
    else:  # gevent looks names up in threads, and a 3.12 that is ending starts no thread: docs/run.md
        assert re.fullmatch(r"poolscope: the collector at \S+ did not get 20 spans and events\n", done.stderr)


# A broken collector ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "condition"),
    [("grpc", "away"), ("http/protobuf", "away"), ("http/protobuf", "broken"), ("grpc", "stuck")],
)
def test_the_program_does_not_notice_a_broken_collector(
    program: Program, receiver: Receiver, protocol: str, condition: str
) -> None:
    program.write(
        "import requests, time\nfor _ in range(3):\n    print(requests.get('{url}4').status_code)\nprint(time.monotonic())"
    )
    endpoint = receiver.endpoint(protocol)
    if condition == "away":
        endpoint = f"http://127.0.0.1:{free_port()}"
    receiver.condition = condition
    environment = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = program.run("--quiet", "--otlp", endpoint, env=environment)
    *answers, over_at = done.stdout.split()
    assert (done.returncode, answers) == (0, ["200"] * 3)
    # 3 requests, 3 setups with 1 phase each, 3 closes and the finding
    assert done.stderr == f"poolscope: the collector at {endpoint} did not get 13 spans and events\n"
    assert monotonic() - float(over_at) < EXIT_TIMEOUT + 10
    assert not receiver.deliveries


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_waiting_at_the_end_is_not_logged_and_not_the_programs_time(
    program: Program, receiver: Receiver, protocol: str
) -> None:
    """With the exporters' own time limit, which is longer than poolscope waits."""
    program.write("import requests\nfor _ in range(3):\n    requests.get('{url}4')")
    endpoint = f"http://127.0.0.1:{free_port()}"
    began = monotonic()
    done = program.run("--otlp", endpoint, "--quiet", env={"OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    took = monotonic() - began
    assert done.stderr == f"poolscope: the collector at {endpoint} did not get 13 spans and events\n"
    assert took > EXIT_TIMEOUT
    assert program.summary().wall_time < took - EXIT_TIMEOUT
    assert program.summary().clients == 3


def test_the_queue_is_bounded_and_drops_are_counted() -> None:
    from poolscope.recording.otlp_export import BATCH, QUEUE, Waiting

    nudges: list[int] = []
    waiting = Waiting(lambda: nudges.append(len(waiting)))
    for number in range(QUEUE + 100):
        waiting.export([number])
    assert (len(waiting), waiting.lost) == (QUEUE, 100)
    assert nudges[0] == BATCH
    assert waiting.take(2) == [100, 101]


class Refuses:
    """An exporter to a collector that takes nothing."""

    def export(self, _: Sequence[Any]) -> Any:
        return SimpleNamespace(name="FAILURE")

    def shutdown(self) -> None:
        """Nothing to close."""


def test_what_was_not_even_tried_at_the_end_is_counted_too() -> None:
    from poolscope.recording.otlp import collector
    from poolscope.recording.otlp_export import BATCH, SIGNALS

    telemetry = collector("http://127.0.0.1:9", "program")
    telemetry._exporters = {signal: Refuses() for signal in SIGNALS}
    telemetry._heartbeat.start = lambda: None  # type: ignore[method-assign]  # as where no thread can start any more
    telemetry._spans.export(range(2 * BATCH + 3))
    assert (
        telemetry.finish()
        == f"the collector at http://127.0.0.1:9 did not get {2 * BATCH + 3} spans and events"
    )


# Bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("", "wants an endpoint"),
        ("ftp://localhost:4317", "wants an endpoint"),
        ("http://", "wants an endpoint"),
        ("http://localhost:notaport", "wants an endpoint"),
        ("http://localhost:4318?key=1", "wants an endpoint"),
        ("http://user:secret@localhost:4318", "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_an_invalid_endpoint_is_one_clear_line(program: Program, endpoint: str, said: str) -> None:
    program.write("print('it ran')")
    done = program.run("--otlp", endpoint)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_an_unknown_protocol_is_one_clear_line(program: Program) -> None:
    program.write("print('it ran')")
    done = program.run("--otlp", "localhost:4317", env={"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "poolscope run: OTEL_EXPORTER_OTLP_PROTOCOL='http/json': --otlp speaks grpc and http/protobuf\n"
    )


HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""


@pytest.mark.parametrize(
    ("missing", "endpoint", "extra"),
    [
        ("grpc", "localhost:4317", "otlp-grpc"),
        ("opentelemetry.sdk", "localhost:4317", "otlp-grpc"),
        ("opentelemetry.exporter.otlp.proto.http", "localhost:4318", "otlp"),
    ],
)
def test_a_missing_package_is_one_clear_line(
    program: Program, tmp_path: Path, missing: str, endpoint: str, extra: str
) -> None:
    program.write("print('it ran')")
    (tmp_path / "hide.py").write_text(HIDE.replace("{names}", repr([missing])))
    command = ["-c", "import hide, poolscope.__main__", *program.command("--otlp", endpoint)[3:]]
    code = "import hide, sys; from poolscope.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *command[2:]], cwd=tmp_path, env=program.environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"poolscope run: --otlp needs more packages: pip install 'poolscope[{extra}]' ({missing} is missing)\n"
    )


def test_a_variable_that_the_exporters_cannot_read_is_reported_and_the_program_runs(
    program: Program, receiver: Receiver
) -> None:
    program.write("import requests; print(requests.get('{url}4').status_code)")
    done = run(program, receiver, "grpc", OTEL_EXPORTER_OTLP_COMPRESSION="zip")
    assert (done.returncode, done.stdout) == (0, "200\n")
    assert done.stderr.count("\n") == 1
    assert "did not get" in done.stderr and "OTEL_EXPORTER_OTLP_COMPRESSION" in done.stderr
