"""OpenTelemetry's weaver checks semconv/, and what poolscope really sends against it.

    python -m tools.live_check WEAVER                 # downloads the conventions
    python -m tools.live_check WEAVER --model MODEL   # the folder model/ of their repository, at the version in names.py

WEAVER is the program, 0.25 or newer (https://github.com/open-telemetry/weaver). Exits with 1 if it finds a violation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from stack.running import free_port

SEMCONV = Path(__file__).resolve().parents[1] / "semconv"
EVERYTHING: dict[str, Any] = {
    "setup_spans": "full", "span_facts": "full", "span_names": "dotnet", "events": "all", "metric_buckets": "all",
}  # fmt: skip


def main() -> int:
    """Check the registry, then the data."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("weaver")
    parser.add_argument("--model", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        registry, found = Path(folder, "semconv"), Path(folder, "found")
        copy_registry(registry, chosen.model)
        subprocess.run([chosen.weaver, "registry", "check", "--quiet", "-r", registry], check=True)
        with listening(chosen.weaver, registry, found) as endpoint:
            send(endpoint)
        return report(found)


def copy_registry(to: Path, model: Path | None) -> None:
    """Copy semconv/, with the conventions in ``model`` if it is given."""
    shutil.copytree(SEMCONV, to)
    if model is not None:
        path = to / "manifest.yaml"
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        manifest["dependencies"][0]["registry_path"] = str(model.resolve())
        path.write_text(yaml.safe_dump(manifest), encoding="utf-8")


@contextmanager
def listening(weaver: str, registry: Path, found: Path) -> Iterator[str]:
    """The live check's OTLP endpoint; at the end it writes what it has found."""
    port, admin = free_port(), free_port()
    process = subprocess.Popen(
        [weaver, "registry", "live-check", "--quiet", "-r", registry, "--include-unreferenced", "--no-stream",
         "--format", "json", "-o", found, "--otlp-grpc-port", str(port), "--admin-port", str(admin),
         "--inactivity-timeout", "120"],
    )  # fmt: skip
    try:
        until_open(port)
        until_open(admin)
        yield f"http://127.0.0.1:{port}"
        urllib.request.urlopen(f"http://127.0.0.1:{admin}/stop", data=b"", timeout=10).close()
        process.wait(120)
    finally:
        process.kill()


def until_open(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def send(endpoint: str) -> None:
    """Send the signals of a program that does a bit of everything, with the default settings and with everything on."""
    import poolscope

    os.environ["OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"] = "logs/dup"
    providers = exporting_to(endpoint)
    for options in ({}, EVERYTHING):
        poolscope.instrument(**providers, **options)
        use_everything()
        providers["meter_provider"].force_flush()
        poolscope.uninstrument()
    for provider in providers.values():
        provider.shutdown()


def exporting_to(endpoint: str) -> dict[str, Any]:
    """Providers that export to ``endpoint``."""
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    traces, logs = TracerProvider(), LoggerProvider()
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, insecure=True)))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint, insecure=True)))
    metrics = MeterProvider(
        [PeriodicExportingMetricReader(OTLPMetricExporter(endpoint, insecure=True), 2_000)]
    )
    return {"tracer_provider": traces, "meter_provider": metrics, "logger_provider": logs}


def use_everything() -> None:
    """Requests by every library: answers, failures, proxies, waits, habits, HTTP/2."""
    from tests.servers import ServerConfig, in_thread
    from tests.servers.certificates import make

    with tempfile.TemporaryDirectory() as folder:
        certificates = make(Path(folder))
        own = certificates.server
        with (
            in_thread() as plain,
            in_thread(ServerConfig(certificate=own)) as tls,
            in_thread(ServerConfig("proxy", certificate=own)) as proxy,
            in_thread(ServerConfig("http2", certificate=own, streams=2)) as http2,
        ):
            by_requests(plain, tls, proxy, certificates.authority)
            by_httpx(plain)
            asyncio.run(side_by_side(plain, http2, certificates.trusting()))


def by_requests(plain: Any, tls: Any, proxy: Any, authority: str) -> None:
    """Answers, failures, proxies, and a session for each request."""
    import requests

    forward, secure = f"http://127.0.0.1:{free_port()}", f"https://127.0.0.1:{proxy.port}"
    with requests.Session() as session:
        for path in ("/fixed/1", "/fixed/1", "/redirect/fixed/1", "/status/404"):
            session.get(plain.url(path))
        for path in ("/cut/1", "/drop/1", "/garbage/1", "/reset/1", "/silence/1"):
            fails(partial(session.get, plain.url(path), timeout=0.2))
        fails(lambda: session.get(tls.url("/fixed/1")))
        fails(lambda: session.get(plain.url("/fixed/1"), proxies={"http": forward}))
        fails(lambda: session.request("BREW", f"http://127.0.0.1:{free_port()}/"))
        session.get(tls.url("/fixed/1"), proxies={"https": secure}, verify=authority)
    for _ in range(5):
        requests.get(plain.url("/fixed/1"))


def by_httpx(plain: Any) -> None:
    """A pool with a name that is too small."""
    import httpx

    import poolscope

    client = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=0.3)
    with poolscope.trace(client, pool_name="billing"):
        with client.stream("GET", plain.url("/size/1000000/1")):
            fails(lambda: client.get(plain.url("/fixed/1")))
        client.get(plain.url("/fixed/1"))


async def side_by_side(plain: Any, http2: Any, context: Any) -> None:
    """Waits for a connection and for a stream, and a call that is cancelled."""
    import aiohttp
    import httpx

    async with httpx.AsyncClient(http2=True, verify=context) as client:
        await client.get(http2.url("/fixed/1"))
        await asyncio.gather(*(client.get(http2.url(f"/slow/100/{n}")) for n in range(5)))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:

        async def get(path: str) -> None:
            async with session.get(plain.url(path)) as answer:
                await answer.read()

        await asyncio.gather(*(get(f"/slow/100/{n}") for n in range(3)))
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(get("/silence/1"), 0.2)


def fails(act: Callable[[], Any]) -> None:
    """Do what fails."""
    with suppress(Exception):
        act()
        raise SystemExit("it did not fail")


def report(found: Path) -> int:
    """Print how much of what there is; 1 if anything is a violation."""
    statistics = json.loads((found / "live_check.json").read_text(encoding="utf-8"))["statistics"]
    levels = Counter(statistics["advice_level_counts"])
    print(f"{statistics['total_entities']:,} checked, {levels['violation']:,} violations: {dict(levels)}")
    return 1 if levels["violation"] or not statistics["total_entities"] else 0


if __name__ == "__main__":
    sys.exit(main())
