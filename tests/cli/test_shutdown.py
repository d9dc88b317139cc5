"""The end of the interpreter: whatever a program leaves behind, its stderr is the same as without us."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import POOLSCOPE, SOURCE, Program

pytestmark = pytest.mark.processes

LIBRARIES = {
    "requests": "import requests\nnew = requests.Session\nget = lambda c, u: c.get(u)\n"
    "stream = lambda c, u: c.get(u, stream=True)\nclose = lambda c: c.close()\n",
    "urllib3": "import urllib3\nnew = urllib3.PoolManager\nget = lambda c, u: c.request('GET', u)\n"
    "stream = lambda c, u: c.request('GET', u, preload_content=False)\nclose = lambda c: c.clear()\n",
    "httpx": "import httpx\nnew = lambda: httpx.Client(timeout=30, verify=False)\nget = lambda c, u: c.get(u)\n"
    "stream = lambda c, u: c.send(c.build_request('GET', u), stream=True)\nclose = lambda c: c.close()\n",
    "httpx2": "import httpx2\nnew = lambda: httpx2.Client(timeout=30, verify=False)\nget = lambda c, u: c.get(u)\n"
    "stream = lambda c, u: c.send(c.build_request('GET', u), stream=True)\nclose = lambda c: c.close()\n",
}

LEFT_BEHIND = """
import atexit, contextvars, gc, sys, threading, types, weakref

class Holder:
    pass

def used():
    client = new()
    get(client, "{url}1")
    return client

in_a_global = used()
half_read = stream(new(), BIG)
in_a_cycle = Holder(); in_a_cycle.itself = in_a_cycle; in_a_cycle.client = used()
in_a_cycle.answer = stream(in_a_cycle.client, BIG)
del in_a_cycle
frozen = used(); gc.collect(); gc.freeze()
contextvars.ContextVar("client").set(used())
module = types.ModuleType("module"); module.client = used(); sys.modules["module"] = module
local = threading.local()
def in_a_thread_that_ends():
    local.client = used()
thread = threading.Thread(target=in_a_thread_that_ends); thread.start(); thread.join()

class ClosesLate:
    def __init__(self):
        self.client = used()
    def __del__(self):
        close(self.client)
        print("closed late")

closes_late = ClosesLate()
sys.closes_very_late = ClosesLate()
finalized = Holder()
weakref.finalize(finalized, close, used())

@atexit.register
def one_more():
    get(in_a_global, "{url}2")
    get(used(), "{url}3")
    print("one more")

begun = threading.Barrier(3)
def waits_for_ever():
    client = new()
    begun.wait()
    get(client, SILENCE)
def goes_on_and_on():
    client = used()
    begun.wait()
    while True:
        get(client, "{url}4")
        used()
for work in (waits_for_ever, goes_on_and_on):
    threading.Thread(target=work, daemon=True).start()
def ends_later():
    ending.wait()
    get(in_a_global, SLOW)
ending = threading.Event()
threading.Thread(target=ends_later).start()
begun.wait()
ending.set()
"""

ENDINGS = {
    "the end": "",
    "sys.exit": "sys.exit(3)",
    "an exception": "raise ValueError('what happened')",
    "os._exit": "import os; sys.stdout.flush(); os._exit(4)",
}

ASYNC_LEFT_BEHIND = """
import asyncio, sys
clients = []
async def main():
    client = LIBRARY.AsyncClient(timeout=30, verify=False)
    clients.append(client)
    await client.get("{url}1")
    clients.append(await client.send(client.build_request("GET", BIG), stream=True))
    dropped = LIBRARY.AsyncClient()
    await dropped.get("{url}2")
    dropped.itself = dropped
"""
RUNS = {
    "asyncio": "asyncio.run(main())",
    "loop left open": "loop = asyncio.new_event_loop(); loop.run_until_complete(main())\n"
    "task = loop.create_task(clients[0].get(SILENCE))\n"
    # Turns of the loop and no time, so that it waits for its answer even on a machine that pauses here.
    "for _ in range(200): loop.run_until_complete(asyncio.sleep(0))",
    "trio": "import trio; trio.run(main)",
    "daemon thread": "import threading, time\ndef work():\n    async def run():\n        await main()\n"
    "        begun.set()\n        await clients[0].get(SILENCE)\n    asyncio.run(run())\n"
    "begun = threading.Event()\nthreading.Thread(target=work, daemon=True).start(); begun.wait()",
}


def ends_alike(program: Program, text: str, installed: tuple[str, dict[str, str]]) -> None:
    """Watched in all ways at once; it is the very same program file each time."""
    for word, path in (("BIG", "/size/3000000/1"), ("SILENCE", "/silence/1"), ("SLOW", "/slow/200/1")):
        text = re.sub(rf"\b{word}\b", repr(program.server.url(path)), text)
    program.write(text)
    python, environment = installed
    customized = Path(program.directory, "customized")
    customized.mkdir()
    customized.joinpath("sitecustomize.py").write_text("import poolscope\npoolscope.instrument()\n")
    path = str(program.path)
    runs = {
        "bare": subprocess.Popen([sys.executable, path], **options(program)),
        "run": subprocess.Popen([*POOLSCOPE, "run", "--quiet", path], **options(program)),
        "variable": subprocess.Popen([python, path], **options(program, **environment, POOLSCOPE="--quiet")),
        "instrument()": subprocess.Popen(
            [sys.executable, path], **options(program, PYTHONPATH=f"{customized}:{SOURCE}")
        ),
    }
    ended = {}
    for way, process in runs.items():
        stdout, stderr = process.communicate(timeout=60)
        ended[way] = (process.returncode, stdout, re.sub(r"\b\d{5,}\b|0x[0-9a-f]+", "…", stderr))
    assert ended == dict.fromkeys(ended, ended["bare"])


def options(program: Program, **environment: str) -> dict[str, Any]:
    return {
        "env": program.environment(**environment),
        "cwd": program.directory,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


@pytest.mark.parametrize(
    ("library", "ending"),
    [
        *((library, ending) for library in LIBRARIES for ending in ("the end", "sys.exit")),
        *((library, ending) for library in ("requests", "httpx") for ending in ("an exception", "os._exit")),
    ],
)
def test_objects_left_behind(
    library: str, ending: str, program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    ends_alike(program, LIBRARIES[library] + LEFT_BEHIND + ENDINGS[ending], installed)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("run", RUNS)
def test_objects_left_behind_by_a_loop(
    library: str, run: str, program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    text = f"import {library}\n" + ASYNC_LEFT_BEHIND.replace("LIBRARY", library) + RUNS[run]
    ends_alike(program, text, installed)


GARBAGE = """
import gc, requests, sys
class Garbage:
    def __del__(self):
        frame = sys._getframe()
        print("collected in", frame.f_back and frame.f_back.f_code.co_filename)
requests.get("{url}")
recording = sys.modules.get("poolscope.recording.session")
if recording is not None:  # any thread may collect garbage, and poolscope's looks each second
    recording.active()._heartbeat.stop()
gc.collect()
garbage = Garbage(); garbage.itself = garbage
del garbage
"""


@pytest.mark.unmeasured
def test_garbage_is_collected_in_the_same_place_as_without_us(program: Program) -> None:
    program.write(GARBAGE)
    assert program.run().stdout == program.bare().stdout == "collected in None\n"
