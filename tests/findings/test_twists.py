"""A client per request in every disguise: one finding, at the line that ends with ``# here``."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import operator
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from poolscope import testing
from tests.servers import Running, in_thread

Program = Callable[[str], Any]
PROGRAMS: list[Program] = []
TIMES = 5


def twist(program: Program) -> Program:
    PROGRAMS.append(program)
    return program


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@twist
def a_decorator(url: str) -> None:
    @logged
    @logged
    def fetch() -> int:
        return requests.get(url, timeout=5).status_code  # here

    for _ in range(TIMES):
        fetch()


@twist
def a_comprehension(url: str) -> None:
    assert [requests.get(url, timeout=5).status_code for _ in range(TIMES)]  # here


@twist
def a_generator_expression(url: str) -> None:
    assert sum(requests.get(url, timeout=5).ok for _ in range(TIMES)) == TIMES  # here


@twist
def a_dictionary_comprehension(url: str) -> None:
    assert {n: httpx.get(url).status_code for n in range(TIMES)}  # here


@twist
def a_lambda(url: str) -> None:
    fetch = lambda: httpx.get(url)  # here
    for _ in range(TIMES):
        fetch()


@twist
def a_partial(url: str) -> None:
    fetch = functools.partial(requests.get, url, timeout=5)
    for _ in range(TIMES):
        fetch()  # here


@twist
def a_map(url: str) -> None:
    list(map(requests.get, [url] * TIMES))  # here


@twist
def a_compiled_caller(url: str) -> None:
    call = operator.methodcaller("get", url, timeout=5)
    for _ in range(TIMES):
        call(requests)  # here


@twist
def an_alias(url: str) -> None:
    fetch = requests.get
    for _ in range(TIMES):
        fetch(url, timeout=5)  # here


@twist
def another_name_by_getattr(url: str) -> None:
    for _ in range(TIMES):
        getattr(requests, "post".lower())(url, timeout=5)  # here


@twist
def a_property(url: str) -> None:
    class Service:
        @property
        def client(self) -> httpx.Client:
            return httpx.Client()  # here

    service = Service()
    for _ in range(TIMES):
        service.client.get(url)


@twist
def an_object_per_request(url: str) -> None:
    class Service:
        def __init__(self) -> None:
            self.session = requests.Session()

    for _ in range(TIMES):
        Service().session.get(url, timeout=5)  # here


@twist
def an_object_within_an_object_per_request(url: str) -> None:
    class Transport:
        def __init__(self) -> None:
            self.session = requests.Session()

    class Service:
        def __init__(self) -> None:
            self.transport = Transport()

    for _ in range(TIMES):
        Service().transport.session.get(url, timeout=5)  # here


@twist
def a_dataclass_per_request(url: str) -> None:
    @dataclass
    class Service:
        session: requests.Session = field(default_factory=requests.Session)

    for _ in range(TIMES):
        Service().session.get(url, timeout=5)  # here


@twist
def a_subclass(url: str) -> None:
    class Session(requests.Session):
        def __init__(self) -> None:
            super().__init__()
            self.mount("http://", HTTPAdapter(max_retries=2))

    for _ in range(TIMES):
        Session().get(url, timeout=5)  # here


@twist
def a_subclass_of_a_subclass(url: str) -> None:
    class Base(httpx.Client):
        def __init__(self, **options: Any) -> None:
            super().__init__(timeout=5, **options)

    class Mine(Base):
        def __init__(self) -> None:
            super().__init__(headers={"Accept": "text/plain"})

    for _ in range(TIMES):
        with Mine() as client:  # here
            client.get(url)


@twist
def a_factory(url: str) -> None:
    def client() -> httpx.Client:
        return httpx.Client(timeout=5)  # here

    for _ in range(TIMES):
        with client() as made:
            made.get(url)


@twist
def a_context_manager_of_its_own(url: str) -> None:
    @contextmanager
    def session() -> Iterator[requests.Session]:
        with requests.Session() as made:  # here
            yield made

    for _ in range(TIMES):
        with session() as one:
            one.get(url, timeout=5)


@twist
def a_dependency(url: str) -> None:
    def get_client() -> Iterator[httpx.Client]:
        with httpx.Client() as client:  # here
            yield client

    def handle(client: httpx.Client) -> None:
        client.get(url)

    for _ in range(TIMES):
        provided = get_client()
        handle(next(provided))
        assert next(provided, None) is None


@twist
def a_class_method(url: str) -> None:
    class Service:
        @classmethod
        def fetch(cls) -> int:
            return requests.get(url, timeout=5).status_code  # here

    for _ in range(TIMES):
        Service.fetch()


@twist
def a_method_of_a_base_class(url: str) -> None:
    class Base(ABC):
        @abstractmethod
        def path(self) -> str: ...

        def fetch(self) -> int:
            with requests.Session() as session:  # here
                return session.get(url + self.path(), timeout=5).status_code

    class Orders(Base):
        def path(self) -> str:
            return "orders"

    for _ in range(TIMES):
        Orders().fetch()


@twist
def a_call_operator(url: str) -> None:
    class Fetch:
        def __call__(self) -> int:
            return httpx.get(url).status_code  # here

    fetch = Fetch()
    for _ in range(TIMES):
        fetch()


@twist
def a_recursion(url: str) -> None:
    def walk(depth: int) -> None:
        if depth:
            requests.get(f"{url}{depth}", timeout=5)  # here
            walk(depth - 1)

    walk(TIMES)


@twist
def clients_in_cycles(url: str) -> None:
    for _ in range(TIMES):
        holder = SimpleNamespace(client=httpx.Client(verify=False))  # here
        holder.itself = holder
        holder.client.get(url)
        del holder
        gc.collect()


@twist
def a_manager_each(url: str) -> None:
    for _ in range(TIMES):
        urllib3.PoolManager().request("GET", url)  # here


@twist
def a_pool_each(url: str) -> None:
    for _ in range(TIMES):
        with urllib3.connection_from_url(url) as pool:  # here
            pool.request("GET", "/")


@twist
def a_stream_function(url: str) -> None:
    for _ in range(TIMES):
        with httpx.stream("GET", url) as response:  # here
            response.read()


@twist
def a_stack_of_frames(url: str) -> None:
    def inner() -> None:
        requests.request("GET", url, timeout=5)  # here

    def middle() -> None:
        inner()

    for _ in range(TIMES):
        middle()


@twist
def a_sorted_key(url: str) -> None:
    def rank(number: int) -> int:
        return requests.get(f"{url}{number}", timeout=5).status_code  # here

    sorted(range(TIMES), key=rank)


class Item(NamedTuple):
    """An article with a price to look up."""

    name: str

    def price(self, url: str) -> str:
        return httpx.get(f"{url}{self.name}").text  # here


def prices_of_named_tuples(url: str) -> None:
    for number in range(TIMES):
        Item(str(number)).price(url)


@twist
def threads_one_after_the_other(url: str) -> None:
    def one() -> None:
        requests.get(url, timeout=5)  # here

    for _ in range(TIMES):
        thread = threading.Thread(target=one)
        thread.start()
        thread.join()


@twist
def a_function_in_a_thread_pool(url: str) -> None:
    def one(_: int) -> None:
        with httpx.Client() as client:  # here
            client.get(url)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(one, range(4 * TIMES)))


@twist
def a_coroutine(url: str) -> None:
    async def fetch() -> int:
        async with httpx.AsyncClient() as client:  # here
            return (await client.get(url)).status_code

    async def main() -> None:
        for _ in range(TIMES):
            await fetch()

    asyncio.run(main())


@twist
def tasks_one_after_the_other(url: str) -> None:
    async def fetch() -> int:
        async with httpx.AsyncClient() as client:  # here
            return (await client.get(url)).status_code

    async def main() -> None:
        for _ in range(TIMES):
            await asyncio.create_task(fetch())

    asyncio.run(main())


@twist
def a_function_that_was_traced(url: str) -> None:
    def fetch() -> None:
        requests.get(url, timeout=5)  # here

    before = sys.getprofile()
    sys.setprofile(lambda *_: None)
    try:
        for _ in range(TIMES):
            fetch()
    finally:
        sys.setprofile(before)


def line_of(program: Callable[..., Any]) -> int:
    lines, first = inspect.getsourcelines(program)
    (line,) = [first + at for at, text in enumerate(lines) if text.rstrip().endswith("# here")]
    return line


# Some of these programs leave clients open on purpose.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_right_line(server: Running, program: Program) -> None:
    assert len(PROGRAMS) >= 30
    with testing.capture() as captured:
        program(server.url("/"))
    (finding,) = [finding for finding in captured.findings if finding.code != "PS126"]
    assert finding.code == "PS101"
    assert finding.call_site is not None
    assert (finding.call_site.file, finding.call_site.line) == (__file__, line_of(program))


def test_the_line_of_a_method(server: Running) -> None:
    with testing.capture() as captured:
        prices_of_named_tuples(server.url("/"))
    (finding,) = captured.findings
    assert finding.call_site is not None
    assert finding.call_site.line == line_of(Item.price)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", ["<string>", "<generated>", "made.py"])
def test_code_made_at_run_time(server: Running, name: str) -> None:
    source = f"import requests\nfor _ in range({TIMES}):\n    requests.get(url, timeout=5)\n"
    with testing.capture() as captured:
        exec(compile(source, name, "exec"), {"url": server.url("/")})
    (finding,) = captured.findings
    assert finding.call_site is not None
    assert (finding.call_site.file, finding.call_site.line) == (name, 3)


def test_an_sdk_from_site_packages(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "shopsdk"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import requests\nclass Shop:\n    def __init__(self):\n        self.session = requests.Session()\n"
        "    def get(self, url):\n        return self.session.get(url, timeout=5)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(package.parent))
    import shopsdk  # type: ignore[import-not-found]

    with testing.capture() as captured:
        for _ in range(TIMES):
            shop = shopsdk.Shop()
            shop.get(server.url("/"))
            shop.session.close()
    (finding,) = captured.findings
    assert finding.call_site is not None and finding.sdk_call_site is not None
    assert finding.call_site.file == __file__
    assert finding.sdk_call_site.line == 4
