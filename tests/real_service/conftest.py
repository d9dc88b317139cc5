"""The two services that the examples run against, both over http and https."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from poolscope.cli import demo
from tests.real_service import service
from tests.real_service.observed import Seen, run
from tests.servers import Certificates


class Target:
    """A service over one scheme. Its own count is compared after every run."""

    scheme: str
    name: str
    trust: str
    directory: Path

    def url(self) -> str:
        raise NotImplementedError

    def mark(self) -> None:
        """Start counting."""
        raise NotImplementedError

    def compare(self, seen: Seen) -> None:
        """AssertionError if its count differs from what poolscope saw."""
        raise NotImplementedError

    def run(self, example: str, *arguments: str, path: str = "", public: bool = False) -> Seen:
        """``poolscope run examples/EXAMPLE.py URL ARGUMENTS``; ``public`` trusts every public authority as well."""
        trusted = self.trust
        if public:
            bundle = self.directory / "bundle.pem"
            bundle.write_text(certifi.contents() + Path(self.trust).read_text("utf-8"), encoding="utf-8")
            trusted = str(bundle)
        self.mark()
        seen = run(
            example,
            [self.url() + path, *arguments],
            self.directory / "saved.jsonl",
            {"SSL_CERT_FILE": trusted, "REQUESTS_CA_BUNDLE": trusted},
        )
        assert (seen.summary.requests, seen.summary.connections) == (
            len(seen.exchanges),
            len(seen.connections),
        )
        assert (seen.summary.facts_dropped, seen.summary.hooks_disabled) == (0, [])
        assert {exchange.status for exchange in seen.exchanges} == {200}
        assert {exchange.error for exchange in seen.exchanges} == {None}
        origins = {connection.origin + "/" for connection in seen.connections.values()}
        assert origins == {self.url()}
        self.compare(seen)
        return seen


class RealService(Target):
    """Caddy's access log has the client's port of every request."""

    def __init__(self, running: service.Service, scheme: str, trust: str, directory: Path) -> None:
        self.running, self.scheme, self.trust, self.directory = running, scheme, trust, directory
        self.marked = 0

    def url(self) -> str:
        return self.running.url(self.scheme)

    def mark(self) -> None:
        self.marked = len(self.running.log)

    def compare(self, seen: Seen) -> None:
        assert self.running.log.since(self.marked, len(seen.exchanges)) == seen.ports()
        peers = {connection.peer_port for connection in seen.connections.values()}
        assert peers == {self.running.ports[self.scheme]}


class Embedded(Target):
    """The server of ``poolscope demo`` counts accepted connections and requests."""

    def __init__(self, server: demo.Server, scheme: str, directory: Path) -> None:
        self.server, self.scheme, self.directory = server, scheme, directory
        bundle = Path(server.environment()["SSL_CERT_FILE"]).read_text("utf-8")
        own = directory / "authority.pem"  # without the public authorities, which take long to load
        own.write_text(bundle.removeprefix(certifi.contents()), encoding="utf-8")
        self.trust = str(own)
        self.marked = [0, 0]

    def url(self) -> str:
        return self.server.url(self.scheme)

    def mark(self) -> None:
        self.marked = self.server.counts(self.scheme)

    def compare(self, seen: Seen) -> None:
        now = self.server.counts(self.scheme)
        counted = [after - before for after, before in zip(now, self.marked, strict=True)]
        assert counted == [len(seen.connections), len(seen.exchanges)]


@pytest.fixture(scope="package")
def real_service(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[service.Service]:
    with service.running(tmp_path_factory.mktemp("service"), certificates) as running:
        yield running


@pytest.fixture(scope="package")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[demo.Server]:
    with demo.Server(0.0, str(tmp_path_factory.mktemp("embedded"))) as server:
        yield server


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[pytest.param("gunicorn behind caddy", marks=pytest.mark.caddy), "embedded"])
def target(request: pytest.FixtureRequest, scheme: str, certificates: Certificates, tmp_path: Path) -> Target:
    if request.param == "embedded":
        return Embedded(request.getfixturevalue("embedded"), scheme, tmp_path)
    return RealService(request.getfixturevalue("real_service"), scheme, certificates.authority, tmp_path)
