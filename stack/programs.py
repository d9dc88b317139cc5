"""The programs of the stack on this machine: how each is started, when it is ready, in which order they end."""

import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from stack import binaries
from stack.running import CannotRunError, Program, answers, free_port, listens

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ("scraped", "tail-sampling", "vendor")
"""What can be laid over otel-collector.yaml: stack/collector/NAME.yaml."""
HEALTHY = "checkout"
SICK = "billing"


@dataclass
class Ports:
    """Where everything listens, on 127.0.0.1."""

    otlp_grpc: int = 4317
    otlp_http: int = 4318
    collector_health: int = 13233
    collector_metrics: int = 8888
    scraped: int = 9464
    jaeger_otlp: int = 14317
    jaeger_query: int = 16686
    jaeger_grpc: int = 16685
    jaeger_health: int = 13133
    prometheus: int = 9090
    downstream: int = 8900
    downstream_tls: int = 8943
    downstream_control: int = 8901
    caddy: int = 8950
    caddy_tls: int = 8953
    healthy: int = 8911
    sick: int = 8912

    @classmethod
    def any(cls) -> "Ports":
        return cls(**{field.name: free_port() for field in fields(cls)})

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{getattr(self, name)}"


class Stack:
    """The programs of the stack; start and stop them together or one by one."""

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        may_build: bool,
        overlays: tuple[str, ...] = (),
        behind_caddy: bool = False,
    ) -> None:
        self.folder = folder
        self.ports = ports
        self.events = folder / "events.jsonl"
        self.access_log = folder / "caddy-access.jsonl"
        paths = {
            name: binaries.need(name, may_build=may_build) for name in ("otelcol", "jaeger", "prometheus")
        }
        self.caddy = self._caddy() if behind_caddy else None
        self.prometheus = self._prometheus(paths["prometheus"])
        self.jaeger = self._jaeger(paths["jaeger"])
        self.collector = self._collector(paths["otelcol"], overlays)
        self.downstream = self._downstream()
        self.healthy = self._service(HEALTHY, "healthy", ports.healthy)
        self.sick = self._service(SICK, "sick", ports.sick)

    @property
    def called(self) -> tuple[int, int]:
        """The ports that the services call, plain and TLS: the downstream's own, or Caddy's before it."""
        ports = self.ports
        return (ports.caddy, ports.caddy_tls) if self.caddy else (ports.downstream, ports.downstream_tls)

    def _program(self, name: str, command: list[str], **environment: str) -> Program:
        return Program(
            name,
            command,
            self.folder / f"{name}.log",
            {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", **environment},
        )

    def _prometheus(self, path: Path) -> Program:
        ports = self.ports
        written = (ROOT / "stack" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
        written = written.replace("collector:8888", f"127.0.0.1:{ports.collector_metrics}")
        written = written.replace("localhost:9090", f"127.0.0.1:{ports.prometheus}")
        written = written.replace("alerts.yaml", str(ROOT / "stack" / "prometheus" / "alerts.yaml"))
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(written, encoding="utf-8")
        return self._program(
            "prometheus",
            [
                str(path),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self.folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{ports.prometheus}",
                "--web.enable-otlp-receiver",
                "--enable-feature=exemplar-storage",
                f"--web.console.templates={self._pages()}",
            ],
        )

    def _pages(self) -> Path:
        """Prometheus's pages, with the addresses of this stack for those that are usual."""
        folder = self.folder / "consoles"
        folder.mkdir(exist_ok=True)
        for page in (ROOT / "stack" / "prometheus" / "consoles").glob("*.html"):
            written = page.read_text(encoding="utf-8")
            for name, usual in (("jaeger_query", Ports.jaeger_query), ("prometheus", Ports.prometheus)):
                written = written.replace(f"http://localhost:{usual}", self.ports.url(name))
            (folder / page.name).write_text(written, encoding="utf-8")
        return folder

    def _jaeger(self, path: Path) -> Program:
        ports = self.ports
        return self._program(
            "jaeger",
            [str(path), "--config", str(ROOT / "stack" / "jaeger" / "config.yaml")],
            JAEGER_OTLP_LISTEN=f"127.0.0.1:{ports.jaeger_otlp}",
            JAEGER_HEALTH_LISTEN=f"127.0.0.1:{ports.jaeger_health}",
            JAEGER_QUERY_LISTEN=f"127.0.0.1:{ports.jaeger_query}",
            JAEGER_GRPC_LISTEN=f"127.0.0.1:{ports.jaeger_grpc}",
            JAEGER_UI_CONFIG=str(ROOT / "stack" / "jaeger" / "config-ui.json"),
        )

    def _collector(self, path: Path, overlays: tuple[str, ...]) -> Program:
        ports = self.ports
        files = [
            ROOT / "otel-collector.yaml",
            *(ROOT / "stack" / "collector" / f"{name}.yaml" for name in overlays),
        ]
        return self._program(
            "otelcol",
            [str(path), *(word for file in files for word in ("--config", str(file)))],
            OTLP_GRPC_LISTEN=f"127.0.0.1:{ports.otlp_grpc}",
            OTLP_HTTP_LISTEN=f"127.0.0.1:{ports.otlp_http}",
            HEALTH_LISTEN=f"127.0.0.1:{ports.collector_health}",
            TELEMETRY_PORT=str(ports.collector_metrics),
            SCRAPE_LISTEN=f"127.0.0.1:{ports.scraped}",
            TRACES_ENDPOINT=f"127.0.0.1:{ports.jaeger_otlp}",
            METRICS_ENDPOINT=f"{ports.url('prometheus')}/api/v1/otlp",
            EVENTS_FILE=str(self.events),
        )

    def _downstream(self) -> Program:
        ports = self.ports
        numbers = [
            *("--port", str(ports.downstream)),
            *("--tls-port", str(ports.downstream_tls)),
            *("--control-port", str(ports.downstream_control)),
        ]
        command = [sys.executable, "-m", "stack.downstream", *numbers, "--certs", str(self.folder)]
        return self._program("downstream", command)

    def _caddy(self) -> Program:
        path = shutil.which("caddy")
        if not path:
            raise binaries.MissingError("caddy is not on the PATH: on Debian, apt-get install caddy")
        ports = self.ports
        home = self.folder / "caddy"
        return self._program(
            "caddy",
            [path, "run", "--adapter", "caddyfile", "--config", str(ROOT / "stack" / "caddy" / "Caddyfile")],
            # Whatever it keeps stays in the stack's own folder.
            HOME=str(home),
            XDG_CONFIG_HOME=str(home),
            XDG_DATA_HOME=str(home),
            CADDY_FOLDER=str(home),
            CADDY_ACCESS_LOG=str(self.access_log),
            CADDY_PORT=str(ports.caddy),
            CADDY_TLS_PORT=str(ports.caddy_tls),
            DOWNSTREAM_PORT=str(ports.downstream),
            CERTS=str(self.folder),
        )

    def _service(self, name: str, habit: str, port: int) -> Program:
        ports = self.ports
        plain, secure = self.called
        addresses = [
            *("--downstream", f"http://127.0.0.1:{plain}"),
            *("--downstream-tls", f"https://localhost:{secure}"),
            *("--otlp", ports.url("otlp_http")),
            *("--certs", str(self.folder)),
        ]
        command = [
            sys.executable,
            "-m",
            "stack.service",
            "--name",
            name,
            "--habit",
            habit,
            "--port",
            str(port),
        ]
        return self._program(name, [*command, *addresses, "--every", "2"])

    def start_component(self, program: Program) -> None:
        """Start Prometheus, Jaeger or the Collector, and return when it answers."""
        ports = self.ports
        where = {
            "prometheus": f"{ports.url('prometheus')}/-/ready",
            "jaeger": f"{ports.url('jaeger_query')}/api/v3/services",
            "otelcol": ports.url("collector_health"),
        }
        program.start()
        program.wait_for(lambda: answers(where[program.name]))
        if program.name == "prometheus":
            self._require_otlp()

    def _require_otlp(self) -> None:
        url = f"{self.ports.url('prometheus')}/api/v1/otlp/v1/metrics"
        asked = urllib.request.Request(url, data=b"", headers={"Content-Type": "application/x-protobuf"})
        try:
            urllib.request.urlopen(asked, timeout=10).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                raise CannotRunError(
                    f"the Prometheus at {url} has no OTLP receiver: take version 3 and --web.enable-otlp-receiver"
                ) from None

    def start_service(self, program: Program) -> None:
        """Start the downstream or a service, and return when it serves."""
        program.start()
        program.wait_for(lambda: program.said(f"{program.name} ready"))

    def start(self) -> None:
        for component in (self.prometheus, self.jaeger, self.collector):
            self.start_component(component)
        self.start_service(self.downstream)
        if self.caddy:
            self.caddy.start()
            self.caddy.wait_for(lambda: all(map(listens, self.called)))
        for service in (self.healthy, self.sick):
            self.start_service(service)

    def stop_services(self) -> None:
        """End both services: what they still hold is exported before this returns."""
        for service in (self.healthy, self.sick):
            service.stop(30)

    def stop(self) -> None:
        self.stop_services()
        # From the sources to the stores, so that each can still deliver.
        for program in (self.caddy, self.downstream, self.collector, self.jaeger, self.prometheus):
            if program:
                program.stop()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
