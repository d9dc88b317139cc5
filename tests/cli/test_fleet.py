"""`poolscope report` reports errors in one line. Its numbers are checked in tests/stack."""

from __future__ import annotations

import http.server
import json
import re
import socket
import threading
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from poolscope.cli import fleet
from poolscope.cli.commands import commands
from poolscope.signals import names, table


@contextmanager
def answering(status, body, flags=b""):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            payload = flags if self.path == "/api/v1/status/flags" else body
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def report(*words):
    return CliRunner().invoke(commands, ["report", *words])


def refused(result, *words):
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def test_nobody_listens():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        refused(
            report("--prometheus", f"http://127.0.0.1:{probe.getsockname()[1]}"),
            "is Prometheus running there?",
        )


def test_another_server():
    with answering(200, b"<html>") as url:
        refused(report("--prometheus", url), "is not a Prometheus")


def test_a_wrong_path():
    with answering(404, b"") as url:
        refused(report("--prometheus", url), "answered 404")


@pytest.mark.parametrize("body", [{"status": "success"}, [], {"data": {"result": None}}])
def test_json_of_something_else(body):
    with answering(200, json.dumps(body).encode()) as url:
        refused(report("--prometheus", url), "is not a Prometheus")


def test_an_empty_range():
    with answering(200, json.dumps({"data": {"result": []}}).encode()) as url:
        refused(
            report("--prometheus", url, "--since", "5m"),
            "no metrics of poolscope from the last 5m",
            "try a longer --since",
        )


@pytest.mark.parametrize(
    ("flag", "advice"), [("false", "start it with --web.enable-otlp-receiver"), ("true", "a longer --since")]
)
def test_a_prometheus_without_the_receiver(flag, advice):
    nothing = json.dumps({"data": {"result": []}}).encode()
    flags = json.dumps({"data": {"web.enable-otlp-receiver": flag}}).encode()
    with answering(200, nothing, flags) as url:
        refused(report("--prometheus", url), advice)


@pytest.mark.parametrize("since", ["", "0m", "1", "h", "1h]", "-1h"])
def test_an_invalid_range(since):
    refused(report("--prometheus", "http://127.0.0.1:9", "--since", since), "is not a time range")


def test_an_invalid_address():
    refused(report("--prometheus", "localhost:9090"), "is not an address")


def test_it_asks_only_for_metrics_and_labels_that_exist():
    metrics = {name.replace(".", "_") for name in table.METRICS}
    labels = {name.replace(".", "_") for name in names.ATTRIBUTES} | {"service_name"}
    for question in fleet.QUESTIONS.values():
        (metric,) = re.findall(r"(?:increase|max_over_time)\((\w+?)(?:_seconds_sum|_total)", question)
        assert metric in metrics
        assert set(re.findall(r"(\w+)=", question)) <= labels
        assert set(re.findall(r"by \(([^)]*)\)", question)[0].split(", ")) <= labels


def test_most_setup_first_and_unknown_is_not_zero():
    services = [
        fleet.Service(
            "b", requests=10, reused=5, setup_seconds=2.0, building_seconds=0.5, findings={"PS101": 3}
        ),
        fleet.Service("a"),
    ]
    shown = fleet.text(services, "1h").splitlines()
    assert shown[3].split() == ["b", "0.500", "s", "2.000", "s", "50%", "10", "–", "–", "PS101", "×3"]
    assert shown[4].split() == ["a", "–", "s", "–", "s", "–", "–", "–", "–", "none"]
    assert json.loads(fleet.as_json(services, "1h"))["services"][0]["reuse_ratio"] == 0.5
