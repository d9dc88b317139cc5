"""Canaries are planted wherever a program keeps its secrets; none of them is in anything we write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolscope.reports.renderer import FORMATS
from tests.pictures.payload import unpacked
from tests.servers import Running, ServerConfig, in_thread

pytestmark = pytest.mark.processes

CANARIES = (
    "requestsuser requestspassword requestsquery requestsfragment requestsheader requestscookie requestsbody "
    "requestsbearer proxyuser proxypassword socksuser sockspassword digestpassword redirectquery barequery "
    "httpxuser httpxpassword httpxquery httpxheader httpxcookie httpxbody httpxbasic refusedquery "
    "exceptiontext hooktext urllib3query urllib3header urllib3body argument environment"
).split()
"""Where each one is planted; the text itself is the place's name with a mark before it."""

MARK = "canary0"
SOURCE = str(Path(__file__).resolve().parent.parent / "src")

PROGRAM = """
import asyncio, os, sys
import httpx, requests, urllib3

plain, proxy, socks = sys.argv[1:4]
class Secret:
    def __getattr__(self, place):
        planted.append(place)
        return "MARK" + place
planted, secret = ["argument", "environment"], Secret()
assert sys.argv[4] == "--token=MARKargument" and os.environ["TOKEN"] == "MARKenvironment"
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

def complain(answer):
    raise LookupError(secret.exceptiontext)

for proxied in (None, proxy.replace("//", f"//{secret.proxyuser}:{secret.proxypassword}@"),
                socks.replace("//", f"//{secret.socksuser}:{secret.sockspassword}@")):
    with httpx.Client(proxy=proxied, headers={"X-Api-Key": secret.httpxheader},
                      cookies={"session": secret.httpxcookie}) as client:
        url = f"http://{secret.httpxuser}:{secret.httpxpassword}@{host}/fixed/10"
        done.append(attempt(client.get, url, params={"token": secret.httpxquery}))
        done.append(attempt(client.post, plain + "/fixed/11", content=secret.httpxbody, auth=("me", secret.httpxbasic)))
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
    done += [answer.status, again.status]
print(*sorted(set(planted)))
print(*done)
"""


class Places:
    """The servers that the program talks to, and where its outputs go."""

    def __init__(self, plain: Running, proxy: Running, socks: Running, directory: Path) -> None:
        self.plain, self.directory = plain, directory
        self.script = directory / "program.py"
        self.script.write_text(PROGRAM.replace("MARK", MARK), encoding="utf-8")
        self.arguments = [
            plain.origin,
            proxy.origin,
            socks.origin.replace("http", "socks5"),
            f"--token={MARK}argument",
        ]

    def poolscope(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours; its standard output is the program's own under ``run``."""
        done = subprocess.run(
            [sys.executable, "-m", "poolscope", *words],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": SOURCE, "TOKEN": f"{MARK}environment"},
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
    """A saved run, with every canary planted and every step done as meant."""
    path = places.directory / "saved.jsonl"
    done = places.run("--save", str(path), "-o", str(places.directory / "report.txt"))
    planted, outcomes = done.stdout.splitlines()
    assert planted.split() == sorted(CANARIES)
    assert (
        outcomes.split()
        == (
            "200 200 200 200 200 200 200 ConnectionError RuntimeError "
            "200 200 200 200 200 200 ConnectError LookupError LookupError 200 200"
        ).split()
    )
    return path


def leaks(text: str) -> list[str]:
    return sorted({line[:200] for line in text.splitlines() if MARK in line})


def test_nothing_in_the_saved_file(saved: Path) -> None:
    text = saved.read_text(encoding="utf-8")
    assert "token=" in text, "the keys of queries are kept"
    assert leaks(text) == []


def test_nothing_in_the_report(saved: Path, places: Places) -> None:
    report = (places.directory / "report.txt").read_text(encoding="utf-8")
    assert places.plain.host in report
    assert leaks(report) == []


@pytest.mark.parametrize(
    "options",
    [(), ("--follow",), ("--every", "1")],
    ids=lambda options: " ".join(options) or "plain",
)
def test_nothing_on_stderr(options: tuple[str, ...], places: Places) -> None:
    done = places.run(*options)
    assert str(places.plain.port) in done.stderr
    assert leaks(done.stderr) == []


@pytest.mark.parametrize(
    "words",
    [
        ("view",),
        *(("view", "--format", name) for name in FORMATS[1:]),
        ("diff",),
        ("diff", "--json"),
    ],
    ids=" ".join,
)
def test_nothing_when_read_again(words: tuple[str, ...], saved: Path, places: Places) -> None:
    files = [str(saved)] * (2 if words[0] == "diff" else 1)
    done = places.poolscope(*words, *files)
    assert str(places.plain.port) in done.stdout or "html" in words
    assert leaks(done.stdout + done.stderr) == []
    if "html" in words:
        inside = unpacked(done.stdout).decode("utf-8", "replace")
        assert str(places.plain.port) in inside
        assert leaks(inside) == []


def test_nothing_of_code_given_on_the_command_line(places: Places) -> None:
    path = places.directory / "code.jsonl"
    code = (
        f"import requests; requests.get({places.plain.url('/fixed/1')!r}, headers={{'X-Key': '{MARK}code'}})"
    )
    done = places.poolscope("run", "--save", str(path), "-c", code, f"--token={MARK}argument")
    text = path.read_text(encoding="utf-8")
    assert '"type":"exchange"' in text
    assert leaks(text + done.stderr) == []


def test_query_values_are_there_when_asked_for(places: Places) -> None:
    """And so the search above would have found them."""
    path = places.directory / "kept.jsonl"
    places.run("--keep-query", "--save", str(path))
    text = path.read_text(encoding="utf-8")
    kept = {place for place in CANARIES if MARK + place in text}
    assert kept == {
        "requestsquery",
        "redirectquery",
        "barequery",
        "httpxquery",
        "refusedquery",
        "urllib3query",
    }


def test_nothing_in_what_a_program_can_ask_for(places: Places) -> None:
    import httpx
    import requests

    import poolscope
    from poolscope.testing import capture

    url = places.plain.url("/fixed/1").replace("//", f"//{MARK}user:{MARK}password@")
    with capture() as seen:
        with requests.Session() as session, httpx.Client(headers={"X-Key": f"{MARK}header"}) as client:
            session.get(f"{url}?token={MARK}query")
            client.get(f"{url}?token={MARK}query")
            now = repr(poolscope.snapshot())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:1/?token={MARK}query")
    told = "\n".join(
        map(repr, [now, *seen.clients, *seen.pools, *seen.connections, *seen.exchanges, *seen.findings])
    )
    assert len(seen.exchanges) == 3
    assert leaks(told) == []
