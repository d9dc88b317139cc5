"""What every test may ask for."""

from __future__ import annotations

import pytest

from tests.servers import Certificates
from tests.servers.certificates import make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a server certificate for loopback, made once."""
    return make(tmp_path_factory.mktemp("certificates"))
