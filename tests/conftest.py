"""What every test may ask for."""

from __future__ import annotations

import signal

import pytest

from poolscope.story.live import LIVE
from tests.servers import Certificates
from tests.servers.certificates import make

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs are deaf to Ctrl-C, and so would be the programs that we send it to.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a server certificate for loopback, made once."""
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def nothing_is_live_yet() -> None:
    """What other tests left hanging is not this one's."""
    LIVE.reset()
