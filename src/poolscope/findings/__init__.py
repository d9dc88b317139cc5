"""Findings: habits that cost connections, each with its line of code. One file per rule.

To add a rule: write it beside `client_per_request`, name it in `RULES`, describe it in docs/findings/.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from poolscope.findings.base import Rule
from poolscope.findings.blocking_construction import BlockingConstruction
from poolscope.findings.burst import Burst
from poolscope.findings.ca_loads import CaLoads
from poolscope.findings.client_per_request import ClientPerRequest
from poolscope.findings.closes_on_request import ClosesOnRequest
from poolscope.findings.cut_while_waiting import CutWhileWaiting
from poolscope.findings.dead_addresses import DeadAddresses
from poolscope.findings.dying_clients import DyingClients
from poolscope.findings.early_closes import EarlyCloses
from poolscope.findings.foreign_loop import ForeignLoop
from poolscope.findings.hosts_in_turn import HostsInTurn
from poolscope.findings.keepalive_clash import KeepAliveClash
from poolscope.findings.needless_redirect import NeedlessRedirect
from poolscope.findings.never_closed import NeverClosed
from poolscope.findings.pinned_sockets import PinnedSockets
from poolscope.findings.pool_exhausted import PoolExhausted
from poolscope.findings.pool_overflow import PoolOverflow
from poolscope.findings.proxy_refuses import ProxyRefusesKeepAlive
from poolscope.findings.refused_keepalive import RefusedKeepAlive
from poolscope.findings.retries_sleep import RetriesSleep
from poolscope.findings.running import Findings
from poolscope.findings.slow_lookups import SlowLookups
from poolscope.findings.stale_connection import StaleConnection
from poolscope.findings.thrown_away import ThrownAway
from poolscope.findings.unread_response import UnreadResponse
from poolscope.findings.used_after_fork import UsedAfterFork
from poolscope.records import Finding, Record

__all__ = ["RULES", "Findings", "Rule", "find", "new_findings"]

RULES: Final[tuple[type[Rule], ...]] = (
    ClientPerRequest,
    NeverClosed,
    UnreadResponse,
    PoolOverflow,
    PoolExhausted,
    RefusedKeepAlive,
    KeepAliveClash,
    StaleConnection,
    ForeignLoop,
    UsedAfterFork,
    EarlyCloses,
    ProxyRefusesKeepAlive,
    NeedlessRedirect,
    PinnedSockets,
    CaLoads,
    DeadAddresses,
    HostsInTurn,
    RetriesSleep,
    ThrownAway,
    DyingClients,
    CutWhileWaiting,
    SlowLookups,
    Burst,
    BlockingConstruction,
    ClosesOnRequest,
)


def new_findings() -> Findings:
    """All rules, to be fed one stream of records."""
    return Findings(rule() for rule in RULES)


def find(records: Iterable[Record]) -> list[Finding]:
    """What all rules find in a whole stream of records."""
    findings = new_findings()
    for record in records:
        findings.consume(record)
    return findings.found()
