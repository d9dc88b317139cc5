"""Every hook is made to raise in turn: the program does not notice, the hook gives up, and poolscope says so."""

from __future__ import annotations

import asyncio
import gc
import importlib
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any, cast

import aiohttp
import httpcore
import httpx
import pytest
import requests
import urllib3

from poolscope.libraries.guard import BodyHook
from poolscope.libraries.known import LIBRARIES
from poolscope.libraries.urllib3.calls import current_call
from poolscope.story.door import ENTRANCE
from poolscope.story.hook import ALLOWED, HOOKS
from poolscope.testing import capture
from tests.compat.alike import described, outcome_of
from tests.servers import Certificates, Running, ServerConfig, in_thread

for _name, _library in LIBRARIES.items():
    importlib.import_module(_library.hooks).points(importlib.import_module(_name))

HOOKED = {
    name: hook
    for name, hook in HOOKS.items()
    if isinstance(hook, BodyHook) and hook.original.__module__.startswith("poolscope.libraries.")
}
"""Hooks in other libraries; the command line has its own."""

# Without the paths where the outcome depends on when a FIN or RST arrives: the runs must be comparable.
PATHS = ("/fixed", "/redirect/chunked", "/size/100000", "/close", "/http10", "/drop", "/cut", "/fixed")
CLOSED = "http://127.0.0.1:1/"


class Injected(Exception):
    """Raised by a hook; nobody outside may ever see it."""


@contextmanager
def failing(hook: BodyHook, error: type[BaseException] = Injected) -> Iterator[list[str]]:
    """Make ``hook`` raise from now on, even after `Hook.reset`; yields a list with an entry for each call."""
    calls: list[str] = []

    def raiser(*arguments: Any) -> None:
        calls.append(hook.name)
        raise error("injected")

    genuine = hook.original
    hook.original = hook.body = raiser
    try:
        yield calls
    finally:
        hook.original = genuine
        hook.reset()


class Places:
    """The addresses that the programs use: the same servers for the bare run and all watched ones."""

    def __init__(
        self, plain: Running, tls: Running, http2: Running, proxy: Running, certificates: Certificates
    ) -> None:
        self.plain, self.tls, self.http2, self.proxy = plain, tls, http2, proxy
        self.authority = certificates.authority
        self.context = certificates.trusting()

    def stale(self, get: Callable[[str], Any]) -> list[Any]:
        """Use a connection that the server closes right after, so that the next request finds it closed."""
        first = get(self.plain.url("/last"))
        self.plain.settled(lambda log: log.connections[-1].ended is not None)
        return [first, get(self.plain.url("/fixed"))]

    def urls(self) -> list[str]:
        return [self.plain.url(path) for path in PATHS] + [self.tls.url("/fixed")] * 2 + [CLOSED]


class Door:
    """Listens on the live path, so that the hooks there have work to do."""

    def request_started(self, exchange: Any, request: Any) -> None:
        """Adds no header."""

    def setup_ended(self, connection: Any, exchange: Any) -> None:
        """Sees a setup."""

    def headers_received(self, exchange: Any, response: Any) -> None:
        """Sees an answer."""

    def request_failed(self, exchange: Any, error: BaseException) -> None:
        """Sees a failure."""


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENTRANCE, "door", Door())


@pytest.fixture(autouse=True)
def what_a_failing_hook_left() -> Iterator[None]:
    """A call of a pool may still be there; the next look notices that it is over."""
    yield
    current_call()


@pytest.fixture(scope="module")
def places(certificates: Certificates) -> Iterator[Places]:
    tls = ServerConfig(certificate=certificates.server)
    multiplexed, forwarding = ServerConfig("http2", certificate=certificates.server), ServerConfig("proxy")
    with (
        in_thread() as plain,
        in_thread(tls) as secure,
        in_thread(multiplexed) as http2,
        in_thread(forwarding) as proxy,
    ):
        yield Places(plain, secure, http2, proxy, certificates)


def with_requests(places: Places) -> list[Any]:
    with requests.Session() as session:
        session.verify = places.authority
        outcomes: list[Any] = [
            outcome_of(lambda: session.get(url, timeout=5).status_code) for url in places.urls()
        ]
        session.get(places.plain.url("/size/100000"), stream=True).close()
        proxies = {"http": places.proxy.origin, "https": places.proxy.origin}
        for url in (places.plain.url("/fixed"), places.tls.url("/fixed")):
            outcomes.append(outcome_of(lambda: session.get(url, proxies=proxies).status_code))
        session.get(places.plain.url("/size/100000"), stream=True)
    outcomes.append(requests.post(places.plain.url("/fixed"), data=b"x" * 1000).status_code)
    with ThreadPool(1) as threads:
        outcomes.append(threads.apply(requests.get, (places.plain.url("/fixed"),)).status_code)
    return outcomes


def with_urllib3(places: Places) -> list[Any]:
    with urllib3.PoolManager(maxsize=1, num_pools=1, ssl_context=places.context, retries=False) as manager:
        outcomes: list[Any] = [
            outcome_of(lambda: manager.request("GET", url).status) for url in places.urls()
        ]
        held = [
            manager.request("GET", places.plain.url("/size/9999"), preload_content=False) for _ in range(2)
        ]
        outcomes += [len(answer.read()) for answer in held]
        shut = manager.request("GET", places.plain.url("/stall"), preload_content=False)
        shut.shutdown()
        outcomes.append(outcome_of(shut.read))
        outcomes += places.stale(lambda url: manager.request("GET", url).status)
    with urllib3.HTTPConnectionPool("127.0.0.1", places.plain.port, maxsize=1, block=True) as pool:
        answer = pool.urlopen("GET", "/size/9999", preload_content=False)
        outcomes.append(
            outcome_of(lambda: pool.urlopen("GET", "/fixed", pool_timeout=cast("Any", 0.01), retries=False))[
                1
            ][0]
        )
        outcomes.append(len(answer.read()))
    outcomes.append(
        urllib3.request("GET", places.plain.url("/flaky/fault"), retries=urllib3.Retry(2)).status
        in (200, 503)
    )
    return outcomes


def with_httpx(places: Places) -> list[Any]:
    with httpx.Client(verify=places.context, follow_redirects=True) as client:
        outcomes: list[Any] = [outcome_of(lambda: client.get(url).status_code) for url in places.urls()]
        with client.stream("GET", places.plain.url("/size/100000")) as answer:
            outcomes.append(answer.status_code)
        dropped = client.build_request("GET", places.plain.url("/size/100000"))
        outcomes.append(client.send(dropped, stream=True).status_code)
        outcomes += places.stale(lambda url: client.get(url).status_code)
    with httpx.Client(verify=places.context, proxy=places.proxy.origin) as client:
        for url in (places.plain.url("/fixed"), places.tls.url("/fixed")):
            outcomes.append(outcome_of(lambda: client.get(url).status_code))
    outcomes.append(
        httpx.post(places.plain.url("/fixed"), content=b"x" * 1000, verify=places.context).status_code
    )
    return outcomes


def with_httpx_async(places: Places) -> list[Any]:
    async def outcome(client: httpx.AsyncClient, url: str) -> Any:
        try:
            return (await client.get(url)).status_code
        except Exception as error:
            return described(error)

    async def fetch() -> list[Any]:
        async with httpx.AsyncClient(verify=places.context, follow_redirects=True) as client:
            outcomes = [await outcome(client, url) for url in places.urls()]
            parallel = [client.get(places.plain.url(f"/slow/5/{number}")) for number in range(5)]
            outcomes += [answer.status_code for answer in await asyncio.gather(*parallel)]
            task = asyncio.ensure_future(client.get(places.plain.url("/silence")))
            await asyncio.wait([task], timeout=0.05)
            task.cancel()
            outcomes.append((await asyncio.gather(task, return_exceptions=True))[0].__class__)
            outcomes.append(
                await asyncio.to_thread(lambda: urllib3.request("GET", places.plain.url("/fixed")).status)
            )
        async with httpx.AsyncClient(verify=places.context, proxy=places.proxy.origin) as client:
            for url in (places.plain.url("/fixed"), places.tls.url("/fixed")):
                outcomes.append(await outcome(client, url))
        return outcomes

    return asyncio.run(fetch())


def with_httpcore(places: Places) -> list[Any]:
    """A pool that loads its own certificates, and a pool that is dropped with a connection open."""
    with httpcore.ConnectionPool() as pool:
        outcomes: list[Any] = [outcome_of(lambda: pool.request("GET", places.tls.url("/fixed")).status)]
        refused = [("bad name", "x")]
        outcomes.append(outcome_of(lambda: pool.request("GET", places.plain.url("/fixed"), headers=refused)))
    dropped = httpcore.ConnectionPool()
    outcomes.append(dropped.request("GET", places.plain.url("/fixed")).status)
    del dropped
    gc.collect()
    return outcomes


def with_aiohttp(places: Places) -> list[Any]:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(10)

    async def fetch() -> list[Any]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=places.context, limit=2)
        ) as session:

            async def outcome(url: str, **options: Any) -> Any:
                try:
                    async with session.get(url, **options) as answer:
                        return answer.status, len(await answer.read())
                except Exception as error:
                    return described(error)

            outcomes = [await outcome(url) for url in places.urls()]
            outcomes += await asyncio.gather(
                *(outcome(places.plain.url(f"/slow/5/{number}")) for number in range(5))
            )
            given_up = aiohttp.ClientTimeout(total=0.05)
            outcomes.append(await outcome(places.plain.url("/silence"), timeout=given_up))
            for url in (places.plain.url("/fixed"), places.tls.url("/fixed")):
                outcomes.append(await outcome(url, proxy=places.proxy.origin))
            async with session.post(places.plain.url("/fixed"), data=b"x" * 1000) as answer:
                outcomes.append(answer.status)
            outcomes.append(await outcome(places.plain.url("/fixed"), data=endless(), timeout=given_up))
            async with session.get(places.plain.url("/size/4000000")) as answer:
                outcomes.append(answer.status)
            handshake = await asyncio.gather(
                session.ws_connect(places.plain.url("/fixed")), return_exceptions=True
            )
            outcomes.append(type(handshake[0]).__name__)
        dropped = aiohttp.ClientSession()
        async with dropped.get(places.plain.url("/fixed")) as answer:
            outcomes.append(answer.status)
        return outcomes

    return asyncio.run(fetch())


def with_http2(places: Places) -> list[Any]:
    with httpx.Client(http2=True, verify=places.context) as client:
        url = places.http2.url("/fixed")
        return [outcome_of(lambda: client.get(url).http_version) for _ in range(4)]


PROGRAMS: dict[str, Callable[[Places], list[Any]]] = {
    "aiohttp": with_aiohttp,
    "requests": with_requests,
    "urllib3": with_urllib3,
    "httpx": with_httpx,
    "httpx async": with_httpx_async,
    "httpcore": with_httpcore,
    "HTTP/2": with_http2,
}


def differences(watched: dict[str, list[Any]], bare: dict[str, list[Any]]) -> list[Any]:
    """(program, step, outcome watched, outcome bare) wherever the outcomes differ."""
    return [
        (program, step, *pair)
        for program in bare
        for step, pair in enumerate(zip(watched[program], bare[program], strict=True))
        if pair[0] != pair[1]
    ]


@pytest.fixture(scope="module")
def bare(places: Places) -> dict[str, list[Any]]:
    """What each program does without poolscope; run twice, to show that it is always the same."""
    outcomes = {name: program(places) for name, program in PROGRAMS.items()}
    assert not differences({name: program(places) for name, program in PROGRAMS.items()}, outcomes)
    return outcomes


NOT_IN_THESE_PROGRAMS = {"urllib3.setup.negotiates", "tls.certified"}
"""Hooks that need a SOCKS proxy, or a client with its own certificate."""


@pytest.fixture(scope="module")
def reaching(places: Places) -> dict[str, set[str]]:
    """Hook → the programs that reach it."""
    reached: dict[str, set[str]] = {name: set() for name in HOOKED}
    under_way = ""

    def spy(name: str, body: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            reached[name].add(under_way)
            return body(*arguments)

        return noted

    genuine = {name: hook.original for name, hook in HOOKED.items()}
    for name, hook in HOOKED.items():
        hook.original = hook.body = spy(name, hook.original)
    try:
        for under_way, program in PROGRAMS.items():
            with capture():
                program(places)
                gc.collect()
    finally:
        for name, hook in HOOKED.items():
            hook.original = genuine[name]
            hook.reset()
    return reached


@pytest.mark.load
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", sorted(set(HOOKED) - NOT_IN_THESE_PROGRAMS))
def test_a_failing_hook_is_not_noticed(
    name: str, bare: dict[str, list[Any]], reaching: dict[str, set[str]], places: Places
) -> None:
    hook = HOOKED[name]
    with failing(hook) as calls:
        with capture():
            watched = {reached: PROGRAMS[reached](places) for reached in sorted(reaching[name])}
            gc.collect()
        failures, disabled = hook.failures, hook.disabled
    assert not differences(watched, {reached: bare[reached] for reached in watched})
    assert failures == len(calls) <= ALLOWED + 1, "a hook that gave up is not called again"
    assert disabled == (failures == ALLOWED + 1)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # they drop open connections on purpose
def test_the_programs_reach_the_hooks(reaching: dict[str, set[str]]) -> None:
    """Otherwise the test above could pass because nothing happened."""
    assert {name for name, programs in reaching.items() if not programs} == NOT_IN_THESE_PROGRAMS


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_all_hooks_failing_at_once_is_not_noticed(bare: dict[str, list[Any]], places: Places) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for name, hook in HOOKED.items():
            if name != "install":
                stack.enter_context(failing(hook))
        with capture() as seen:
            watched = {name: program(places) for name, program in PROGRAMS.items()}
    assert not differences(watched, bare)
    assert seen.exchanges == []


PROGRAM = """
import sys
import requests
from poolscope.story.hook import HOOKS

def broken(*arguments):
    raise LookupError("on purpose")

hook = HOOKS[sys.argv[1]]
hook.body = broken
with requests.Session() as session:
    print([session.get(sys.argv[2]).status_code for _ in range(5)])
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    "name", ["requests.call_begins", "urllib3.pool.asks", "urllib3.connection.answer_came"]
)
def test_the_report_says_which_hook_gave_up(name: str, places: Places, tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    command = [sys.executable, "-m", "poolscope", "run", str(script), name, places.plain.url("/fixed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[200, 200, 200, 200, 200]\n"
    assert name in done.stderr
    assert "LookupError" not in done.stdout
