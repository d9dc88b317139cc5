"""A real OTLP endpoint, over gRPC and over HTTP, that keeps what arrives; it can also play a broken one."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

_REQUESTS: dict[str, Any] = {
    "traces": trace_service_pb2.ExportTraceServiceRequest,
    "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    "logs": logs_service_pb2.ExportLogsServiceRequest,
}
_ANSWERS: dict[str, Any] = {
    "traces": trace_service_pb2.ExportTraceServiceResponse,
    "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
    "logs": logs_service_pb2.ExportLogsServiceResponse,
}


@dataclass(slots=True)
class Signal:
    """One span or log record, in plain values."""

    resource: dict[str, Any]
    scope: str
    proto: Any
    attributes: dict[str, Any]

    @property
    def name(self) -> str:
        return str(getattr(self.proto, "name", "") or getattr(self.proto, "event_name", ""))

    @property
    def id(self) -> bytes:
        return bytes(self.proto.span_id)

    @property
    def parent(self) -> bytes:
        return bytes(self.proto.parent_span_id)

    @property
    def is_client(self) -> bool:
        return bool(self.proto.kind == 3)


def plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


class Receiver:
    """What arrived; `condition` may be set to ``broken`` (503) or ``stuck`` (no answer until it is set again)."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.deliveries: Counter[tuple[str, str]] = Counter()
        """(protocol, signal) of the requests that were answered well."""
        self.refused = 0
        self.headers: list[dict[str, str]] = []
        self.spans: list[Signal] = []
        self.logs: list[Signal] = []
        self._series: dict[str, tuple[dict[str, Any], str, str, dict[str, Any], Any, Any]] = {}
        self.condition = "well"
        self.released = threading.Event()
        self.grpc_port = self.http_port = 0

    def endpoint(self, protocol: str) -> str:
        port = self.grpc_port if protocol == "grpc" else self.http_port
        return f"http://127.0.0.1:{port}"

    def environment(self, protocol: str = "http/protobuf") -> dict[str, str]:
        """Variables that make an SDK export here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint(protocol),
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            # The SDK gives its last collection as long as this, and drops it if the machine stops for longer.
            "OTEL_METRIC_EXPORT_INTERVAL": "3000",
        }

    def take(self, protocol: str, signal: str, body: bytes, headers: dict[str, str]) -> bool:
        """False if the answer is to be an error."""
        if self.condition == "stuck":
            self.released.wait(60)
        if self.condition != "well":
            with self.lock:
                self.refused += 1
            return False
        request = _REQUESTS[signal].FromString(body)
        with self.lock:
            self.deliveries[protocol, signal] += 1
            self.headers.append(headers)
            getattr(self, f"_{signal}")(request)
        return True

    def _traces(self, request: Any) -> None:
        for resource in request.resource_spans:
            about = plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(Signal(about, scope.scope.name, span, plain(span.attributes)))

    def _logs(self, request: Any) -> None:
        for resource in request.resource_logs:
            about = plain(resource.resource.attributes)
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    self.logs.append(Signal(about, scope.scope.name, record, plain(record.attributes)))

    def _metrics(self, request: Any) -> None:
        for resource in request.resource_metrics:
            about = plain(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    for point in data.data_points:
                        attributes = plain(point.attributes)
                        value = (
                            point.count
                            if hasattr(point, "bucket_counts")
                            else point.as_double or point.as_int
                        )
                        key = (
                            *sorted(about.items(), key=repr),
                            scope.scope.name,
                            metric.name,
                            repr(attributes),
                        )
                        entry = (about, scope.scope.name, metric.name, attributes, value, point)
                        self._series[repr(key)] = entry

    # Questions ---------------------------------------------------------------------------------

    def named(self, start: str) -> list[Signal]:
        with self.lock:
            return [span for span in self.spans if span.name.startswith(start)]

    def ours(self, kind: int | None = None) -> list[Signal]:
        with self.lock:
            spans = [span for span in self.spans if span.scope == "poolscope"]
        return [span for span in spans if kind is None or span.proto.kind == kind]

    def events(self, name: str) -> list[Signal]:
        with self.lock:
            return [record for record in self.logs if record.proto.event_name == name]

    def points(self, metric: str) -> list[tuple[dict[str, Any], dict[str, Any], Any, Any]]:
        """(resource, attributes, newest value or count, point) of each cumulative series."""
        with self.lock:
            series = list(self._series.values())
        return [
            (about, attributes, value, point)
            for about, _, name, attributes, value, point in series
            if name == metric
        ]

    def metrics(self) -> list[tuple[str, dict[str, Any], dict[str, Any], Any]]:
        """(name, resource, attributes, point) of each series."""
        with self.lock:
            series = list(self._series.values())
        return [(name, about, attributes, point) for about, _, name, attributes, _, point in series]

    def total(self, metric: str, **having: Any) -> float:
        """The sum over the newest points of all series with attributes that contain ``having`` (. is __)."""
        wanted = {key.replace("__", "."): value for key, value in having.items()}
        return sum(
            value
            for _, attributes, value, _ in self.points(metric)
            if all(attributes.get(key) == each for key, each in wanted.items())
        )

    def until(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        deadline = monotonic() + timeout
        while not condition():
            assert monotonic() < deadline, f"it did not arrive: {self.deliveries}, {len(self.spans)} spans"
            sleep(0.05)


def _http(receiver: Receiver) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 20

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            signal = self.path.rpartition("/")[2]
            headers = {name.lower(): value for name, value in self.headers.items()}
            well = receiver.take("http/protobuf", signal, body, headers)
            answer = _ANSWERS[signal]().SerializeToString() if well else b""
            self.send_response(200 if well else 503)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # some tests are about clients that stop waiting

    return Server(("127.0.0.1", 0), Handler)


def _servicers(receiver: Receiver, server: grpc.Server) -> None:
    def export(signal: str) -> Callable[[Any, Any, grpc.ServicerContext], Any]:
        def Export(_: Any, request: Any, context: grpc.ServicerContext) -> Any:
            headers = {str(key): str(value) for key, value in context.invocation_metadata()}
            if not receiver.take("grpc", signal, request.SerializeToString(), headers):
                context.abort(grpc.StatusCode.UNAVAILABLE, "out of order")
            return _ANSWERS[signal]()

        return Export

    for signal, module, name in (
        ("traces", trace_service_pb2_grpc, "TraceService"),
        ("metrics", metrics_service_pb2_grpc, "MetricsService"),
        ("logs", logs_service_pb2_grpc, "LogsService"),
    ):
        servicer = type(name, (getattr(module, f"{name}Servicer"),), {"Export": export(signal)})()
        getattr(module, f"add_{name}Servicer_to_server")(servicer, server)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Both endpoints, until the block ends."""
    receiver = Receiver()
    httpd = _http(receiver)
    receiver.http_port = httpd.server_port
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server = grpc.server(ThreadPoolExecutor(8))
    _servicers(receiver, server)
    receiver.grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.stop(None).wait(10)
        httpd.shutdown()
        thread.join(10)
        httpd.server_close()
