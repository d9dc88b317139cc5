"""The examples in examples/servers, each under its real server: the cost of a route, and the debug pages."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from stack.running import free_port
from tests.cli.conftest import POOLSCOPE, SOURCE
from tests.cli.waiting import eventually
from tests.servers import Running, in_thread

pytestmark = pytest.mark.processes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "servers"
SERVERS = {
    "fastapi_app": (["uvicorn", "fastapi_app:app", "--log-level", "warning", "--port"], "GET /cart/{number}"),
    "flask_app": (["gunicorn", "flask_app:app", "--log-level", "warning", "-b"], "GET /cart/<int:number>"),
    "django_app": (
        ["gunicorn", "django_app:application", "--log-level", "warning", "-b"],
        "GET /cart/<int:number>",
    ),
}


@pytest.fixture(scope="module")
def downstream() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@contextmanager
def serving(name: str, downstream: Running, *options: str, **environment: str) -> Iterator[str]:
    words, _ = SERVERS[name]
    port = free_port()
    address = str(port) if words[0] == "uvicorn" else f"127.0.0.1:{port}"
    process = subprocess.Popen(
        [*POOLSCOPE, "run", "--quiet", *options, "-m", *words, address],
        cwd=EXAMPLES,
        env={**os.environ, "DOWNSTREAM": downstream.url("/fixed/"), "PYTHONPATH": SOURCE, **environment},
    )
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/health"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return get(url).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def get(url: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", url, retries=False, timeout=10)


@pytest.mark.parametrize("name", SERVERS)
def test_the_report_says_what_each_route_opens(name: str, downstream: Running, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with serving(name, downstream, "--json", "-o", str(report)) as url:
        for number in range(4):
            assert get(f"{url}/cart/{number}").data == f"<p>cart {number}</p>".encode()
        assert get(f"{url}/-/poolscope").status == 404
        assert b"<pre>" not in get(f"{url}/cart/1?poolscope").data
    routes = {route["route"]: route for route in json.loads(report.read_text())["routes"]}
    cart = routes[SERVERS[name][1]]
    assert (cart["served"], cart["requests"], cart["connections_opened"]) == (5, 15, 15)
    assert cart["setup_time"] > 0
    health = routes["GET /health"]
    assert health["served"] == health["requests"]
    assert health["connections_opened"] == 1


@pytest.mark.parametrize("name", SERVERS)
def test_in_development_a_request_shows_its_own_report(name: str, downstream: Running) -> None:
    with serving(name, downstream, DEVELOPMENT="1") as url:
        answer = get(f"{url}/cart/7?poolscope")
        body = answer.data.decode()
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        assert body.startswith("<p>cart 7</p>\n<pre>poolscope  0 % of 3 requests reused a connection")
        assert f"{SERVERS[name][1].replace('<', '&lt;').replace('>', '&gt;')}  opens 3.0 connections" in body
        assert get(f"{url}/health?poolscope").headers["Content-Type"] == "application/json"

        page = get(f"{url}/-/poolscope")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "1 connection: 0 active, 1 idle" in page.data.decode()
        live = json.loads(get(f"{url}/-/poolscope?json").data)
        assert [connection["state"] for connection in live["connections"]] == ["idle"]


def test_nothing_of_a_path_becomes_a_route(downstream: Running, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, requests, poolscope.middleware\n"
        "def application(environ, start_response):\n"
        "    requests.get(sys.argv[1])\n"
        "    start_response('200 OK', [])\n"
        "    yield b''\n"
        "served = poolscope.middleware.WSGI(application)\n"
        "for path in ('/a/secret', '/b'):\n"
        "    b''.join(served({'REQUEST_METHOD': 'STRANGE', 'PATH_INFO': path}, print))\n"
    )
    command = [*POOLSCOPE, "run", "--json", "-o", "-", str(program), downstream.url("/fixed/")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": SOURCE}
    )
    [route] = json.loads(done.stdout.partition("{")[1] + done.stdout.partition("{")[2])["routes"]
    assert (route["route"], route["served"], route["connections_opened"]) == ("_OTHER (no route)", 2, 2)
    assert "secret" not in done.stdout
