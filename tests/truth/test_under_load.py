"""Truth under load: 16 to 40 exchanges in flight, and not one wrong fact about any of them.

``POOLSCOPE_TRUTH=full`` runs 10,000 exchanges and more per library; the default is a fifth of that.
"""

from __future__ import annotations

import logging
import os

import pytest

import poolscope.testing
from poolscope.queue import FACTS
from tests.servers import in_process
from tests.truth.drivers import DRIVERS, Driver, Load
from tests.truth.judge import RACE, judge
from tests.truth.workload import jobs

FULL = os.environ.get("POOLSCOPE_TRUTH") == "full"
PER_LIBRARY = 10_000 if FULL else 1_500
WAVE = 500
"""Jobs per client: httpcore loses a slot to some cancellations (encode/httpcore#1093), so none lives long."""


def _styles(library: str) -> int:
    return sum(driver.library == library for driver in DRIVERS)


@pytest.mark.parametrize("driver", DRIVERS, ids=str)
@pytest.mark.parametrize("small_pool", [False, True], ids=["ample", "small"])
@pytest.mark.timeout(600)
def test_no_fact_is_wrong(driver: Driver, small_pool: bool, caplog: pytest.LogCaptureFixture) -> None:
    share = PER_LIBRARY // (2 * _styles(driver.library))
    in_flight = 24 if driver.style == "threads" else 40
    caplog.set_level(logging.ERROR, "urllib3")  # one warning for each connection that a full pool discards
    dropped = FACTS.dropped
    with in_process() as server:
        with poolscope.testing.capture() as captured:
            for seed, begin in enumerate(range(0, share, WAVE)):
                todo = jobs(min(WAVE, share - begin), driver.cancellable, seed)
                driver.run(Load(server.origin, todo, in_flight, small_pool))
        log = server.settled(lambda log: log.open == 0)
    verdict = judge(captured.connections, captured.exchanges, log)
    assert not verdict.wrong, str(verdict)
    assert verdict.exchanges >= 0.9 * share
    assert FACTS.dropped == dropped
    assert not verdict.reasons[RACE] or str(driver) == "httpx-threads"
