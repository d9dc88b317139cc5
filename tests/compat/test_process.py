"""instrument() twice, fork, and gevent."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import httpx
import pytest
import requests

import poolscope
from poolscope.testing import capture
from tests.compat.conftest import Server

pytestmark = pytest.mark.processes


def run(program: str, *arguments: str) -> list[Any]:
    """Run a program in a fresh interpreter; returns the JSON it printed."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_instrument_twice_counts_once_and_one_uninstrument_ends_it(server: Server) -> None:
    import urllib3

    def functions() -> list[object]:
        return [
            requests.Session.send,
            urllib3.HTTPConnectionPool.urlopen,
            httpx.Client.send,
            httpx.HTTPTransport.handle_request,
        ]

    before = functions()
    with capture() as seen:
        poolscope.instrument(signals=False)
        poolscope.instrument(signals=False)
        with requests.Session() as session, httpx.Client() as client:
            session.get(server.url("/plain"))
            client.get(server.url("/plain"))
        poolscope.uninstrument()
    assert [one.request_number for one in seen.exchanges] == [1, 1]
    assert len(seen.connections) == 2 == server.accepts
    assert functions() == before
    poolscope.uninstrument()
    assert functions() == before


def test_uninstrument_leaves_wrappers_that_others_put_over_ours(server: Server) -> None:
    original = requests.Session.send
    poolscope.instrument(signals=False)
    ours = requests.Session.send

    def theirs(self, request, **options):
        return ours(self, request, **options)

    try:
        setattr(requests.Session, "send", theirs)
        poolscope.uninstrument()
        assert requests.Session.send is theirs
        assert requests.get(server.url("/plain")).text == "plain"
    finally:
        setattr(requests.Session, "send", original)


FORK = """
import json, os, sys
import requests
from poolscope.testing import capture
from poolscope.queue import FACTS
url = sys.argv[1]
with capture() as seen, requests.Session() as session:
    session.get(url)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with capture() as inside, requests.Session() as own:
            inherited = session.get(url).text
            own.get(url)
        exchanges = [[one.request_number, one.reused, one.status] for one in inside.exchanges]
        connections = [one.inherited for one in inside.connections]
        os.write(writing, json.dumps([inherited, exchanges, connections]).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    theirs = json.loads(os.read(reading, 65536))
ours = [[one.request_number, one.reused, one.status] for one in seen.exchanges]
print(json.dumps([theirs, ours, len(seen.connections)]))
"""


def test_fork(server: Server) -> None:
    theirs, ours, connections = run(FORK, server.url("/plain"))
    text, exchanges, inherited = theirs
    assert text == "plain"
    # The inherited connection has served requests in the parent: the child does not know its numbers.
    assert [status for _, _, status in exchanges] == [200, 200]
    assert exchanges[1] == [1, False, 200]
    assert inherited == [True, False]
    assert ours == [[1, False, 200]]
    assert connections == 1
    assert server.accepts == 2


GEVENT = """
from gevent import monkey
monkey.patch_all()
import json, sys
import gevent
import httpx, requests
if sys.argv[2] == "watched":
    from poolscope.testing import capture
else:
    from contextlib import nullcontext as capture
url = sys.argv[1]

def fetch(session):
    return [session.get(url).status_code for _ in range(5)]

with capture() as seen:
    with requests.Session() as session, httpx.Client() as client:
        jobs = [gevent.spawn(fetch, one) for one in (session, client) for _ in range(5)]
        gevent.joinall(jobs, raise_error=True)
answers = [job.value for job in jobs]
facts = None
if seen is not None:
    numbers = {}
    for one in seen.exchanges:
        numbers.setdefault(one.connection, []).append(one.request_number)
    facts = [
        len(seen.connections),
        all(sorted(mine) == list(range(1, len(mine) + 1)) for mine in numbers.values()),
        sum(len(mine) for mine in numbers.values()),
        sorted({one.close_reason for one in seen.connections}),
    ]
print(json.dumps([answers, facts]))
"""


def test_gevent(server: Server) -> None:
    bare, _ = run(GEVENT, server.url("/plain"), "bare")
    accepts = server.accepts
    watched, facts = run(GEVENT, server.url("/plain"), "watched")
    assert watched == bare
    connections, numbered, exchanges, reasons = facts
    assert connections == server.accepts - accepts
    assert numbered
    assert exchanges == 50
    assert reasons == ["client_close"]


LATE_GEVENT = """
import json, ssl, sys, warnings
if sys.argv[2] == "watched":
    import poolscope
    poolscope.instrument()
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    from gevent import monkey
    monkey.patch_all()
print(json.dumps([[str(one.message) for one in warned], None]))
"""


@pytest.mark.processes
def test_gevent_that_patches_late_warns_of_none_of_our_modules(server: Server) -> None:
    """gunicorn's gevent workers do so: gunicorn itself has imported ssl by then."""
    bare, _ = run(LATE_GEVENT, server.url("/plain"), "bare")
    watched, _ = run(LATE_GEVENT, server.url("/plain"), "watched")
    assert bare == []
    assert watched == []
