"""The servers that most tests want, one of each per test file: a part of tests/conftest.py.

A file that needs a differently configured server has its own fixture.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.certificates import Certificates, make
from tests.servers.config import ServerConfig
from tests.servers.running import Running, in_thread

CREDENTIALS = ("user", "secret")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a server certificate for loopback, made once per run."""
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def tls(certificates: Certificates) -> Iterator[Running]:
    with in_thread(ServerConfig(certificate=certificates.server)) as running:
        yield running


@pytest.fixture(scope="module")
def proxy() -> Iterator[Running]:
    """Requires `CREDENTIALS`, as `socks` does."""
    with in_thread(ServerConfig("proxy", credentials=CREDENTIALS)) as running:
        yield running


@pytest.fixture(scope="module")
def socks() -> Iterator[Running]:
    with in_thread(ServerConfig("socks", credentials=CREDENTIALS)) as running:
        yield running
