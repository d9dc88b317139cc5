"""Packages built on requests and urllib3 behave the same, and we see them where they really use the network."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import requests
import urllib3

from tests.compat.alike import alike
from tests.compat.conftest import Server
from tests.servers import ServerConfig, in_thread


def names(thing: object) -> list[str]:
    """Its attributes, without the one mark that we leave on it."""
    return sorted(name for name in vars(thing) if not name.startswith("_poolscope"))


def test_botocore(server: Server) -> None:
    import botocore.session as botocore_session

    def scenario() -> list[object]:
        client = botocore_session.Session().create_client(
            "s3",
            region_name="eu-west-1",
            endpoint_url=server.url(""),
            aws_access_key_id="id",
            aws_secret_access_key="secret",
        )
        names = [bucket["Name"] for _ in range(2) for bucket in client.list_buckets()["Buckets"]]
        put = client.put_object(Bucket="pail", Key="drop", Body=b"x" * 1000)
        client.close()
        return [names, put["ResponseMetadata"]["HTTPStatusCode"]]

    seen = alike(scenario)
    assert [(one.method, one.status) for one in seen.exchanges] == [("GET", 200), ("GET", 200), ("PUT", 200)]
    assert [one.request_number for one in seen.exchanges] == [1, 2, 3]
    (client,) = {one.client for one in seen.exchanges}
    (record,) = [one for one in seen.clients if one.id == client]
    assert record.kind == "urllib3.PoolManager"
    assert record.call_site is not None and record.call_site.file == __file__
    assert record.sdk_call_site is not None and "botocore" in record.sdk_call_site.file


def test_requests_toolbelt(server: Server) -> None:
    import requests_toolbelt as toolbelt
    from requests_toolbelt.adapters.source import SourceAddressAdapter

    def scenario() -> list[str]:
        with requests.Session() as session:
            session.mount("http://", SourceAddressAdapter("127.0.0.1"))
            upload = toolbelt.MultipartEncoder({"field": "value"}, boundary="edge")
            monitor = toolbelt.MultipartEncoderMonitor(upload)
            answer = session.post(
                server.url("/"), data=monitor, headers={"Content-Type": monitor.content_type}
            )
            return [answer.text, session.get(server.url("/plain")).text, str(monitor.bytes_read)]

    seen = alike(scenario)
    assert [one.request_number for one in seen.exchanges] == [1, 2]
    (connection,) = seen.connections
    assert connection.close_reason == "client_close"


def test_cachecontrol(server: Server) -> None:
    import cachecontrol

    def scenario() -> list[tuple[str, bool]]:
        with cachecontrol.CacheControl(requests.Session()) as session:
            answers = [session.get(server.url("/cached")) for _ in range(3)]
            return [(answer.text, getattr(answer, "from_cache")) for answer in answers]

    seen = alike(scenario)
    assert len(seen.exchanges) == 1, "what came from the cache used no connection"
    assert server.accepts == 2


def test_requests_unixsocket(tmp_path: Path) -> None:
    import requests_unixsocket as unixsocket

    path = tmp_path / "socket"

    def scenario() -> list[int]:
        with unixsocket.Session() as session:
            return [
                session.get(f"http+unix://{quote(str(path), safe='')}/fixed").status_code for _ in range(3)
            ]

    with in_thread(ServerConfig(uds=str(path))) as running:
        seen = alike(scenario)
        assert running.log().accepts == 2
    assert [one.status for one in seen.exchanges] == [200, 200, 200]
    assert [one.request_number for one in seen.exchanges] == [1, 2, 3]
    assert [one.via for one in seen.connections] == ["uds"]


def test_hishel_for_requests(server: Server, tmp_path: Path) -> None:
    from hishel import SqliteStorage
    from hishel.requests import CacheAdapter

    runs = iter(range(10))

    def scenario() -> list[str]:
        storage = SqliteStorage(database_path=tmp_path / f"{next(runs)}.db")
        with requests.Session() as session:
            session.mount("http://", CacheAdapter(storage=storage))
            return [session.get(server.url("/cached")).text for _ in range(3)]

    assert len(alike(scenario).exchanges) == 1


def test_responses() -> None:
    import responses

    def scenario() -> list[object]:
        with responses.RequestsMock() as mock:
            mock.get("http://nowhere.example/a", json={"a": 1})
            first = requests.get("http://nowhere.example/a").json()
            with pytest.raises(requests.ConnectionError):
                requests.get("http://nowhere.example/other")
            return [first, len(mock.calls)]

    seen = alike(scenario)
    assert seen.exchanges == [] and seen.connections == []


def test_requests_mock() -> None:
    import requests_mock

    def scenario() -> list[object]:
        with requests_mock.Mocker() as mock:
            mock.get("http://nowhere.example/a", text="mocked")
            mock.get("http://nowhere.example/broken", exc=requests.exceptions.ConnectTimeout)
            with pytest.raises(requests.exceptions.ConnectTimeout):
                requests.get("http://nowhere.example/broken")
            return [requests.get("http://nowhere.example/a").text, mock.call_count]

    seen = alike(scenario)
    assert seen.exchanges == [] and seen.connections == []


def test_vcrpy_records_and_replays(server: Server, tmp_path: Path) -> None:
    import vcr

    runs = iter(range(10))

    def scenario() -> list[object]:
        cassette_path = str(tmp_path / f"cassette{next(runs)}.yaml")
        texts: list[str] = []
        played: list[int] = []
        for _ in range(2):
            with vcr.use_cassette(cassette_path) as cassette, requests.Session() as session:
                texts += [session.get(server.url("/plain")).text for _ in range(2)]
                played.append(cassette.play_count)
        return [*texts, played[-1]]

    seen = alike(scenario)
    assert server.accepts == 2, "the second time, nothing reached the network"
    opened = [one for one in seen.connections if one.opened_at is not None and one.peer_port is not None]
    assert len(opened) == 1


def test_vcrpy_with_urllib3(server: Server, tmp_path: Path) -> None:
    import vcr

    runs = iter(range(10))

    def scenario() -> list[object]:
        cassette_path = str(tmp_path / f"cassette{next(runs)}.yaml")
        with vcr.use_cassette(cassette_path), urllib3.PoolManager() as manager:
            return [manager.request("GET", server.url("/plain")).data for _ in range(2)]

    alike(scenario)


def test_vcrpy_and_then_without(server: Server, tmp_path: Path) -> None:
    import vcr

    def scenario() -> list[object]:
        with vcr.use_cassette(str(tmp_path / "once.yaml"), record_mode="all"), requests.Session() as session:
            inside = session.get(server.url("/plain")).text
        with requests.Session() as session:
            return [inside, session.get(server.url("/plain")).text]

    seen = alike(scenario)
    outside = seen.exchanges[-1]
    assert (outside.status, outside.request_number, outside.reused) == (200, 1, False)


def test_a_session_pickles_and_copies_the_same(server: Server) -> None:
    def scenario() -> list[object]:
        with requests.Session() as session:
            session.headers["X-Mine"] = "kept"
            session.get(server.url("/plain"))
            thawed = pickle.loads(pickle.dumps(session))
            copied = copy.copy(session)
            answers = [one.get(server.url("/plain")).text for one in (session, thawed, copied)]
            with pytest.raises(TypeError):
                copy.deepcopy(vars(session.get_adapter("http://x"))["poolmanager"].pools)
            state = [names(one) for one in (session, thawed, copied, session.get_adapter("http://x"))]
            thawed.close()
            return [answers, state, session.headers["X-Mine"], thawed.headers["X-Mine"]]

    seen = alike(scenario)
    assert [one.status for one in seen.exchanges] == [200] * 4


class Whole(requests.Session):
    """Pickles all its attributes, as some subclasses do."""

    def __getstate__(self):
        return dict(vars(self))

    def __setstate__(self, state):
        vars(self).update(state)


def test_a_session_that_pickles_all_its_attributes(server: Server) -> None:
    def scenario() -> list[object]:
        with Whole() as session:
            session.get(server.url("/plain"))
            thawed = pickle.loads(pickle.dumps(session))
            copied = copy.copy(session)
            answers = [one.get(server.url("/plain")).text for one in (session, thawed, copied)]
            thawed.close()
            return [answers, names(thawed)]

    seen = alike(scenario)
    assert [one.status for one in seen.exchanges] == [200] * 4
    assert len({one.connection for one in seen.exchanges}) == 2


def test_pickles_are_the_same_bytes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # A cookie jar keeps, and pickles, the second of its last request.
    monkeypatch.setattr("http.cookiejar.time", SimpleNamespace(time=lambda: 1_000_000.0))

    def scenario() -> bytes:
        with requests.Session() as session:
            answer = session.get(server.url("/redirect"))
            assert answer.text == "plain"
            return pickle.dumps(session)

    alike(scenario)


def test_reprs_are_the_same(server: Server) -> None:
    def scenario() -> list[str]:
        with urllib3.PoolManager() as manager:
            pool = manager.connection_from_url(server.url("/"))
            answer = manager.request("GET", server.url("/plain"), preload_content=False)
            connection = answer.connection
            shown = [repr(type(connection)), str(pool), repr(type(answer)), type(manager).__qualname__]
            answer.read()
            answer.release_conn()
            return [*shown, *sorted(name for name in dir(connection) if "poolscope" not in name)]

    alike(scenario)


@pytest.mark.parametrize(
    ("url", "phase"), [("http://127.0.0.1:1/", "connect"), ("http://name.invalid/", "dns")]
)
def test_failures_look_the_same(url: str, phase: str, no_such_name: None) -> None:
    seen = alike(lambda: requests.get(url, timeout=5).text)
    (exchange,) = seen.exchanges
    assert exchange.connection is None
    assert exchange.error is not None
    (connection,) = seen.connections
    assert connection.failed_phase == phase
    assert connection.opened_at is None
