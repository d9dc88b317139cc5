"""The programs of the stack on this machine: how each is started, when it is ready, and in which order they end."""

import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from stack import binaries
from stack.downstream import certificate
from stack.ports import Ports
from stack.running import CannotRunError, Program, answers, listens

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ("auth", "persistent", "scraped", "tail-sampling", "tls", "vendor")
"""Layers for otel-collector.yaml: stack/collector/NAME.yaml."""
COMPONENTS = ("otelcol", "jaeger", "prometheus", "victoria-logs")
"""Programs that are not ours, by name."""
TOKEN = "for-this-machine-only"
HEALTHY = "checkout"
SICK = "billing"


def configuration(overlays: tuple[str, ...]) -> list[str]:
    """The values of `otelcol --config`: the base, its layers, and the extensions of all of them."""
    files = [
        ROOT / "otel-collector.yaml",
        *(ROOT / "stack" / "collector" / f"{name}.yaml" for name in overlays),
    ]
    extensions: list[str] = []
    for file in files:
        service = yaml.safe_load(file.read_text(encoding="utf-8")).get("service", {})
        extensions += [name for name in service.get("extensions", ()) if name not in extensions]
    # Of two lists the Collector takes the last: of two layers with an extension each, one would be lost.
    return [*map(str, files), f"yaml:service::extensions: [{', '.join(extensions)}]"]


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
        every: float = 2.0,
    ) -> None:
        self.folder = folder
        self.ports = ports
        self.every = every
        self.overlays = overlays
        if "tls" in overlays:
            certificate(folder, ["localhost", "127.0.0.1"])
        (folder / "otlp-token").write_text(TOKEN, encoding="utf-8")
        self.access_log = folder / "caddy-access.jsonl"
        paths = {name: binaries.need(name, may_build=may_build) for name in COMPONENTS}
        self.caddy = self._caddy() if behind_caddy else None
        self.prometheus = self._prometheus(paths["prometheus"])
        self.jaeger = self._jaeger(paths["jaeger"])
        self.logs = self._logs(paths["victoria-logs"])
        self.collector = self._collector(paths["otelcol"])
        self.downstream = self._downstream()
        self.healthy = self._service(HEALTHY, "healthy", ports.healthy)
        self.sick = self._service(SICK, "sick", ports.sick)

    @property
    def called(self) -> tuple[int, int]:
        """The ports that the services call, plain and TLS: the downstream's own, or those of Caddy in front of it."""
        ports = self.ports
        return (ports.caddy, ports.caddy_tls) if self.caddy else (ports.downstream, ports.downstream_tls)

    @property
    def otlp(self) -> str:
        """The address that the services export to, over HTTP."""
        port = self.ports.otlp_http
        return f"https://localhost:{port}" if "tls" in self.overlays else f"http://127.0.0.1:{port}"

    def _credentials(self) -> dict[str, str]:
        """Variables for OpenTelemetry's exporters, for a Collector that authenticates senders."""
        variables = {}
        if "tls" in self.overlays:
            variables["OTEL_EXPORTER_OTLP_CERTIFICATE"] = str(self.folder / "ca.pem")
            # requests, which the exporters use, would prefer these.
            variables |= {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
        if "auth" in self.overlays:
            variables["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization=Bearer%20{TOKEN}"
        return variables

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
        """Prometheus's pages, with the addresses of this stack instead of the usual ones."""
        folder = self.folder / "consoles"
        folder.mkdir(exist_ok=True)
        for page in (ROOT / "stack" / "prometheus" / "consoles").glob("*.html"):
            written = page.read_text(encoding="utf-8")
            for name in ("jaeger_query", "logs"):
                written = written.replace(f"http://localhost:{getattr(Ports, name)}", self.ports.url(name))
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

    def _logs(self, path: Path) -> Program:
        words = [
            f"-httpListenAddr=127.0.0.1:{self.ports.logs}",
            f"-storageDataPath={self.folder / 'victoria-logs'}",
        ]
        return self._program("victoria-logs", [str(path), *words])

    def _collector(self, path: Path) -> Program:
        ports = self.ports
        return self._program(
            "otelcol",
            [str(path), *(word for source in configuration(self.overlays) for word in ("--config", source))],
            OTLP_GRPC_LISTEN=f"127.0.0.1:{ports.otlp_grpc}",
            OTLP_HTTP_LISTEN=f"127.0.0.1:{ports.otlp_http}",
            HEALTH_LISTEN=f"127.0.0.1:{ports.collector_health}",
            TELEMETRY_PORT=str(ports.collector_metrics),
            SCRAPE_LISTEN=f"127.0.0.1:{ports.scraped}",
            TRACES_ENDPOINT=f"127.0.0.1:{ports.jaeger_otlp}",
            METRICS_ENDPOINT=f"{ports.url('prometheus')}/api/v1/otlp",
            EVENTS_ENDPOINT=f"{ports.url('logs')}/insert/opentelemetry/v1/logs",
            QUEUE_FOLDER=str(self.folder / "queue"),
            TLS_CERTIFICATE=str(self.folder / "server.pem"),
            TLS_KEY=str(self.folder / "server.pem"),
            OTLP_TOKEN_FILE=str(self.folder / "otlp-token"),
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
            # Everything it keeps stays in the stack's own folder.
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
        plain, secure = self.called
        addresses = [
            *("--downstream", f"http://127.0.0.1:{plain}"),
            *("--downstream-tls", f"https://localhost:{secure}"),
            *("--otlp", self.otlp),
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
        return self._program(
            name,
            [*command, *addresses, "--every", f"{self.every:g}"],
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=local",
            **self._credentials(),
        )

    def start_component(self, program: Program) -> None:
        """Start one of COMPONENTS; return when it answers."""
        ports = self.ports
        where = {
            "prometheus": f"{ports.url('prometheus')}/-/ready",
            "jaeger": f"{ports.url('jaeger_query')}/api/v3/services",
            "otelcol": ports.url("collector_health"),
            "victoria-logs": f"{ports.url('logs')}/health",
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
        """Start the downstream or a service; return when it serves."""
        program.start()
        program.wait_for(lambda: program.said(f"{program.name} ready"))

    def start(self) -> None:
        for component in (self.prometheus, self.jaeger, self.logs, self.collector):
            self.start_component(component)
        self.start_service(self.downstream)
        if self.caddy:
            self.caddy.start()
            self.caddy.wait_for(lambda: all(map(listens, (self.ports.caddy, self.ports.caddy_tls))))
        for service in (self.healthy, self.sick):
            self.start_service(service)

    def stop_services(self) -> None:
        """End both services; they export what they still hold before this returns."""
        for service in (self.healthy, self.sick):
            service.stop(30)

    def stop(self) -> None:
        self.stop_services()
        # From the sources to the stores, so that each can still deliver.
        stores = (self.logs, self.jaeger, self.prometheus)
        for program in (self.caddy, self.downstream, self.collector, *stores):
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
