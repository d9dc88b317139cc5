"""Canaries are planted wherever a program keeps secrets; each of our outputs is searched for each canary."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.pictures.payload import unpacked
from tests.receiver import Receiver, Signal, receiving
from tests.servers import Running, ServerConfig, in_thread

pytestmark = pytest.mark.processes

CANARIES = (
    "requestsuser requestspassword requestsquery requestsfragment requestsheader requestscookie requestsbody "
    "requestsbearer proxyuser proxypassword socksuser sockspassword digestpassword redirectquery barequery "
    "httpxuser httpxpassword httpxquery httpxheader httpxcookie httpxbody httpxbasic refusedquery "
    "exceptiontext hooktext urllib3query urllib3header urllib3body argument environment "
    "requestspath proxiedpath redirectpath httpxpath urllib3path parameter nesteduser"
).split()
"""Where each canary is planted; its text is the place's name after a mark."""

MARK = "canary0"
TOKEN = "Xq7Zk2Vb9Lm4Np8Rt3"
"""What comes before the mark in a path, where a secret is recognised only by its looks."""
SOURCE = str(Path(__file__).resolve().parent.parent / "src")

PROGRAM = """
import asyncio, os, sys
import httpx, requests, urllib3

plain, proxy, socks = sys.argv[1:4]
class Secret:
    def __getattr__(self, place):
        planted.append(place)
        return ("TOKEN" if place.endswith("path") else "") + "MARK" + place
planted, secret = ["argument", "environment"], Secret()
assert sys.argv[4] == "--token=MARKargument" and os.environ["SECRET"] == "MARKenvironment"
host = plain.removeprefix("http://")

def attempt(call, *args, **kwargs):
    try:
        return call(*args, **kwargs).status_code
    except Exception as error:
        return type(error).__name__

def refuse(answer, *args, **kwargs):
    raise RuntimeError(secret.hooktext)

done = []
with requests.Session() as session:
    url = f"http://{secret.requestsuser}:{secret.requestspassword}@{host}/fixed/1"
    done.append(attempt(session.get, f"{url}?token={secret.requestsquery}#{secret.requestsfragment}"))
    headers = {"X-Api-Key": secret.requestsheader, "Authorization": "Bearer " + secret.requestsbearer}
    cookies = {"session": secret.requestscookie}
    data = {"password": secret.requestsbody}
    done.append(attempt(session.post, plain + "/fixed/2", headers=headers, cookies=cookies, data=data))
    credentials = secret.proxyuser + ":" + secret.proxypassword
    done.append(attempt(session.get, plain + "/fixed/3", proxies={"http": proxy.replace("//", f"//{credentials}@")}))
    credentials = secret.socksuser + ":" + secret.sockspassword
    done.append(attempt(session.get, plain + "/fixed/4", proxies={"http": socks.replace("//", f"//{credentials}@")}))
    digest = requests.auth.HTTPDigestAuth("me", secret.digestpassword)
    done.append(attempt(session.get, plain + "/digest/5", auth=digest))
    done.append(attempt(session.get, plain + "/redirect/fixed/6?next=" + secret.redirectquery))
    done.append(attempt(session.get, plain + "/fixed/7?" + secret.barequery))
    done.append(attempt(session.get, plain + "/drop/8?again=" + secret.redirectquery))
    done.append(attempt(session.get, plain + "/fixed/9", hooks={"response": refuse}))
    done.append(attempt(session.get, f"{plain}/fixed/16/bot123456789:{secret.requestspath}/sendMessage"))
    done.append(attempt(session.get, f"{plain}/fixed/17;session={secret.parameter}/page"))
    done.append(attempt(session.get, f"{plain}/fixed/18/http://{secret.nesteduser}:x@elsewhere/"))
    done.append(attempt(session.get, f"{plain}/redirect/fixed/19/{secret.redirectpath}"))
    credentials = secret.proxyuser + ":" + secret.proxypassword
    proxies = {"http": proxy.replace("//", f"//{credentials}@")}
    done.append(attempt(session.get, f"{plain}/fixed/20/{secret.proxiedpath}", proxies=proxies))

def complain(answer):
    raise LookupError(secret.exceptiontext)

for proxied in (None, proxy.replace("//", f"//{secret.proxyuser}:{secret.proxypassword}@"),
                socks.replace("//", f"//{secret.socksuser}:{secret.sockspassword}@")):
    with httpx.Client(proxy=proxied, headers={"X-Api-Key": secret.httpxheader},
                      cookies={"session": secret.httpxcookie}) as client:
        url = f"http://{secret.httpxuser}:{secret.httpxpassword}@{host}/fixed/10"
        done.append(attempt(client.get, url, params={"token": secret.httpxquery}))
        done.append(attempt(client.post, plain + "/fixed/11", content=secret.httpxbody, auth=("me", secret.httpxbasic)))
        done.append(attempt(client.get, f"{plain}/fixed/21/{secret.httpxpath}/hook"))
done.append(attempt(httpx.get, "http://127.0.0.1:1/?token=" + secret.refusedquery))
with httpx.Client(event_hooks={"response": [complain]}) as client:
    done.append(attempt(client.get, plain + "/fixed/12"))

async def fetch():
    async with httpx.AsyncClient() as client:
        async with client.stream("GET", plain + "/size/100000/15?token=" + secret.httpxquery):
            raise LookupError(secret.exceptiontext)
done.append(attempt(asyncio.run, fetch()))

with urllib3.PoolManager(headers={"Authorization": secret.urllib3header}) as manager:
    answer = manager.request("POST", plain + "/fixed/13", fields={"password": secret.urllib3body})
    again = manager.request("GET", plain + "/fixed/14", fields={"token": secret.urllib3query})
    manager.request("GET", f"{plain}/fixed/22/{secret.urllib3path}")
    done += [answer.status, again.status]

# A habit, for the formats that show findings only.
for _ in range(5):
    requests.get(plain + "/fixed/23?token=" + secret.requestsquery, headers={"X-Api-Key": secret.requestsheader})
print(*sorted(set(planted)))
print(*done)
"""


class Places:
    """The program's servers, and the targets of its outputs."""

    def __init__(self, plain: Running, proxy: Running, socks: Running, directory: Path) -> None:
        self.plain, self.directory = plain, directory
        self.collector: Receiver | None = None
        self.script = directory / "program.py"
        self.script.write_text(PROGRAM.replace("MARK", MARK).replace("TOKEN", TOKEN), encoding="utf-8")
        self.arguments = [
            plain.origin,
            proxy.origin,
            socks.origin.replace("http", "socks5"),
            f"--token={MARK}argument",
        ]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": SOURCE, "SECRET": f"{MARK}environment"}

    def poolscope(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours; under ``run``, the standard output is the program's."""
        done = subprocess.run(
            [sys.executable, "-m", "poolscope", *words],
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.poolscope("run", *options, str(self.script), *self.arguments)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    proxy = ServerConfig(kind="proxy", credentials=(f"{MARK}proxyuser", f"{MARK}proxypassword"))
    socks = ServerConfig(kind="socks", credentials=(f"{MARK}socksuser", f"{MARK}sockspassword"))
    with in_thread() as plain, in_thread(proxy) as forward, in_thread(socks) as tunnel:
        yield Places(plain, forward, tunnel, tmp_path_factory.mktemp("secrets"))


@pytest.fixture(scope="module")
def saved(places: Places) -> Path:
    """A saved run, with every canary planted and every step done as intended."""
    path = places.directory / "saved.jsonl"
    done = places.run("--save", str(path), "-o", str(places.directory / "report.txt"))
    planted, outcomes = done.stdout.splitlines()
    assert planted.split() == sorted(CANARIES)
    assert (
        outcomes.split()
        == (
            "200 200 200 200 200 200 200 ConnectionError RuntimeError 200 200 200 200 200 "
            "200 200 200 200 200 200 200 200 200 ConnectError LookupError LookupError 200 200"
        ).split()
    )
    return path


def leaks(text: str) -> list[str]:
    return sorted({line[:200] for line in text.splitlines() if MARK in line})


QUERIES = {"requestsquery", "redirectquery", "barequery", "httpxquery", "refusedquery", "urllib3query"}
PATHS = {place for place in CANARIES if place.endswith("path")} | {"parameter", "nesteduser"}


class Output(NamedTuple):
    """An output of ours that people or programs read."""

    make: Callable[[Places, Path], str]
    has: str
    """Text which proves that the output is about this run."""
    kept: set[str] = set()
    """Places that are meant to be in it."""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def of_run(*options: str) -> Output:
    return Output(lambda places, saved: places.run(*options).stderr, "127.0.0.1")


def of_command(*words: str) -> Output:
    return Output(
        lambda places, saved: (
            places.poolscope(*words, *[str(saved)] * (2 if words[0] == "diff" else 1)).stdout
        ),
        "findings" if words[0] == "diff" else "127.0.0.1",
    )


def kept(option: str, places: set[str]) -> Output:
    def run(where: Places, _: Path) -> str:
        path = where.directory / "kept.jsonl"
        where.run(option, "--save", str(path))
        return read(path)

    return Output(run, '"type":"exchange"', places)


def delivered(places: Places) -> Receiver:
    """What a collector got of a run; the same for all outputs that read it."""
    if places.collector is None:
        with receiving() as receiver:
            endpoint = receiver.endpoint("http/protobuf")
            places.run("--otlp", endpoint)
            places.collector = receiver
    return places.collector


def attributes(signals: list[Signal]) -> str:
    return "\n".join(f"{one.name} {one.attributes} {one.resource} {one.proto}" for one in signals)


def of_format(name: str) -> Output:
    def render(places: Places, saved: Path) -> str:
        shown = places.poolscope("view", "--format", name, "-o", "-", str(saved)).stdout
        inside = unpacked(shown).decode("utf-8", "replace") if name == "html" else ""
        return shown + inside

    return Output(render, "127.0.0.1")


OUTPUTS = {
    "the saved file": Output(lambda places, saved: read(saved), "token="),
    "the report": Output(lambda places, saved: read(places.directory / "report.txt"), "127.0.0.1"),
    "stderr": of_run(),
    "run --json": Output(lambda places, saved: places.run("--json", "-o", "-").stdout, "127.0.0.1"),
    "stderr --follow": of_run("--follow"),
    "stderr --every": of_run("--every", "1"),
    "view": of_command("view"),
    "view --json": of_command("view", "--json"),
    "view --format html": of_format("html"),
    "view --format perfetto": of_format("perfetto"),
    "view --format har": of_format("har"),
    "view --format sarif": of_format("sarif"),
    "view --format github": of_format("github"),
    "view --format gitlab": of_format("gitlab"),
    "view --format markdown": of_format("markdown"),
    "diff": of_command("diff"),
    "diff --json": of_command("diff", "--json"),
    # Spans follow the conventions, which keep paths and all but a few query values.
    "spans": Output(lambda places, _: attributes(delivered(places).spans), "url.full", QUERIES | PATHS),
    "events": Output(lambda places, _: attributes(delivered(places).logs), "poolscope.connection.closed"),
    "metrics": Output(lambda places, _: repr(delivered(places).metrics()), "poolscope.connections.opened"),
    "saved --keep-query": kept("--keep-query", QUERIES),
    "saved --keep-path": kept("--keep-path", PATHS),
}


@pytest.fixture(scope="module")
def written(places: Places, saved: Path) -> Callable[[str], str]:
    """The text of an output, made once."""

    @cache
    def text(output: str) -> str:
        made = OUTPUTS[output].make(places, saved)
        assert OUTPUTS[output].has in made
        return made

    return text


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("place", CANARIES)
def test_every_place_in_every_output(place: str, output: str, written: Callable[[str], str]) -> None:
    found = [line[:200] for line in written(output).splitlines() if MARK + place in line]
    if place in OUTPUTS[output].kept:
        assert found, "and so the search would have found what must not be there"
    else:
        assert found == []


@pytest.mark.parametrize("output", OUTPUTS)
def test_nothing_else_of_them_is_left(output: str, written: Callable[[str], str]) -> None:
    if not OUTPUTS[output].kept:
        assert leaks(written(output)) == []


@pytest.mark.regress
def test_a_token_in_a_path_is_not_saved(written: Callable[[str], str]) -> None:
    for place in PATHS:
        assert MARK + place not in written("the saved file")


URLS = {
    "userinfo": f"http://{MARK}user:{MARK}password@127.0.0.1:1",
    "path": f"http://127.0.0.1:1/{TOKEN}{MARK}path",
    "query": f"http://127.0.0.1:1/?token={MARK}query#{MARK}fragment",
}


@pytest.mark.regress
@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_no_secret_of_an_address_that_does_not_answer(url: str, places: Places) -> None:
    command = [sys.executable, "-m", "poolscope", "report", "--prometheus", url]
    done = subprocess.run(command, env=places.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr
    assert leaks(done.stderr) == []


@pytest.mark.regress
def test_no_secret_of_a_collector_that_does_not_answer(places: Places) -> None:
    done = places.run("--otlp", f"http://127.0.0.1:1/{TOKEN}{MARK}path", "--quiet")
    assert "the collector at http://127.0.0.1:1/… did not get" in done.stderr
    assert leaks(done.stderr) == []


def test_no_secret_of_code_given_on_the_command_line(places: Places) -> None:
    path = places.directory / "code.jsonl"
    code = (
        f"import requests; requests.get({places.plain.url('/fixed/1')!r}, headers={{'X-Key': '{MARK}code'}})"
    )
    done = places.poolscope("run", "--save", str(path), "-c", code, f"--token={MARK}argument")
    text = path.read_text(encoding="utf-8")
    assert '"type":"exchange"' in text
    assert leaks(text + done.stderr) == []


def test_no_secret_in_what_a_program_can_read(places: Places) -> None:
    import httpx
    import requests

    import poolscope
    from poolscope.testing import capture

    url = places.plain.url("/fixed/1").replace("//", f"//{MARK}user:{MARK}password@")
    with capture() as seen:
        with requests.Session() as session, httpx.Client(headers={"X-Key": f"{MARK}header"}) as client:
            session.get(f"{url}?token={MARK}query")
            session.get(f"{url}/{TOKEN}{MARK}path")
            client.get(f"{url}?token={MARK}query")
            now = repr(poolscope.snapshot())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:1/?token={MARK}query")
    everything = "\n".join(
        map(repr, [now, *seen.clients, *seen.pools, *seen.connections, *seen.exchanges, *seen.findings])
    )
    assert len(seen.exchanges) == 4
    assert leaks(everything) == []
