"""The fleet's report: the metrics of many processes in Prometheus, added up. No state is kept here."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Final

from poolscope.cli.prometheus import TOTAL_TIME, Prometheus, PrometheusError
from poolscope.ledger.urls import shown_url
from poolscope.reports.printable import page

SINCE: Final = re.compile(r"[1-9][0-9]*[smhdw]")
MOST_SERVICES: Final = 10_000
MOST_CODES: Final = 100
WIDEST: Final = 48
"""The widest column for a service's name."""
LISTED: Final = 1_000

QUESTIONS: Final[dict[str, str]] = {
    "requests": "sum by (service_name) (increase(poolscope_requests_total[{since}]))",
    "reused": 'sum by (service_name) (increase(poolscope_requests_total{{poolscope_connection_reused="true"}}[{since}]))',
    "opened": "sum by (service_name) (increase(poolscope_connections_opened_total[{since}]))",
    "failed": "sum by (service_name) (increase(poolscope_connections_failed_total[{since}]))",
    "setup_seconds": "sum by (service_name) (increase("
    'poolscope_connection_setup_duration_seconds_sum{{poolscope_setup_phase="total"}}[{since}]))',
    "building_seconds": "sum by (service_name) (increase("
    'poolscope_client_construction_duration_seconds_sum{{poolscope_setup_phase="total"}}[{since}]))',
    "dropped": "sum by (service_name) (increase(poolscope_facts_dropped_total[{since}]))",
    # A finding often comes once, in the first sample of its series, where `increase` sees nothing. So this counts
    # from the start of the processes. Each counts for itself: the sum of four workers with one habit would be 4.
    "findings": "max by (service_name, poolscope_finding_code) (max_over_time(poolscope_findings_total[{since}]))",
}
"""Number → its query. `increase` extrapolates to the ends of the range, so it estimates."""


@dataclass
class Service:
    """One service over the range. Numbers are Prometheus's estimates; None means it has no such series."""

    name: str
    requests: float | None = None
    reused: float | None = None
    opened: float | None = None
    failed: float | None = None
    setup_seconds: float | None = None
    """Summed over threads and tasks, including the few connections that were needed."""
    building_seconds: float | None = None
    """Building clients, loading CA certificates for them included."""
    dropped: float | None = None
    findings: dict[str, float] = field(default_factory=dict)

    @property
    def wasted_seconds(self) -> float | None:
        """Building clients and setting connections up; None if neither is known."""
        parts = [seconds for seconds in (self.setup_seconds, self.building_seconds) if seconds is not None]
        return sum(parts) if parts else None

    @property
    def reuse_ratio(self) -> float | None:
        """Share of requests on a connection that was ready before; None without requests."""
        return (self.reused or 0.0) / self.requests if self.requests else None


def _advice(prometheus: Prometheus) -> str:
    if prometheus.takes_otlp() is False:
        return "its OTLP receiver is off; start it with --web.enable-otlp-receiver, or let it scrape the Collector"
    return "try a longer --since, or check whether the services export metrics to it"


def read(url: str, since: str, patience: float = TOTAL_TIME) -> list[Service]:
    """Ask the Prometheus at ``url`` about the last ``since`` (``15m``, ``1h``, ``7d``), the most wasteful service first."""
    if not url.startswith(("http://", "https://")):
        raise PrometheusError(f"{shown_url(url)!r} is not an address: write it as http://host:9090")
    if not SINCE.fullmatch(since):
        raise PrometheusError(f"{since!r} is not a time range: write it as 15m, 1h or 7d")
    prometheus = Prometheus(url, patience)
    services: dict[str, Service] = {}
    for number, question in QUESTIONS.items():
        for labels, value in prometheus.query(question.format(since=since)):
            # A service may have no name; a ratio of nothing is not a number.
            name = labels.get("service_name", "(no service.name)")
            if name not in services and len(services) >= MOST_SERVICES:
                raise PrometheusError(
                    f"{url} knows more than {MOST_SERVICES:,} services: is that service.name?"
                )
            _tell(services.setdefault(name, Service(name)), number, labels, value)
    if not services:
        raise PrometheusError(
            f"the Prometheus at {prometheus.url} has no metrics of poolscope from the last {since}: {_advice(prometheus)}"
        )
    return sorted(services.values(), key=lambda service: (-(service.wasted_seconds or 0.0), service.name))


def _tell(service: Service, number: str, labels: dict[str, str], value: float | None) -> None:
    if value is None:
        return
    if number != "findings":
        setattr(service, number, value)
    elif value > 0 and len(service.findings) < MOST_CODES:
        service.findings[labels.get("poolscope_finding_code", "")] = value


def as_json(services: list[Service], since: str) -> str:
    """The report for programs; all numbers are estimates over the range."""
    rows = [
        {**asdict(service), "wasted_seconds": service.wasted_seconds, "reuse_ratio": service.reuse_ratio}
        for service in services
    ]
    return json.dumps({"since": since, "services": rows}, indent=2) + "\n"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def text(services: list[Service], since: str) -> str:
    """The report for people."""
    width = min(WIDEST, max(len("service"), *(len(service.name) for service in services)))
    lines = [
        f"The last {since}, as Prometheus estimates it; services that spend the most seconds on clients and connection setup come first.",
        "",
        f"{'service':<{width}}  {'building':>10}  {'setup':>10}  {'reuse':>6}  {'requests':>9}  {'opened':>8}  {'failed':>7}  findings",
    ]
    for service in services[:LISTED]:
        ratio = service.reuse_ratio
        findings = (
            ", ".join(f"{code} ×{count:.0f}" for code, count in sorted(service.findings.items())) or "none"
        )
        lines.append(
            f"{_fit(service.name, width)}  {_number(service.building_seconds, '.3f'):>8} s  "
            f"{_number(service.setup_seconds, '.3f'):>8} s  "
            f"{'–' if ratio is None else f'{ratio:.0%}':>6}  {_number(service.requests, ',.0f'):>9}  "
            f"{_number(service.opened, ',.0f'):>8}  {_number(service.failed, ',.0f'):>7}  {findings}"
        )
        if service.dropped:
            lines.append(
                f"{'':<{width}}  {service.dropped:,.0f} facts were lost: the numbers above are too small"
            )
    if len(services) > LISTED:
        lines.append(f"and {len(services) - LISTED:,} more services")
    return page(lines)


def _fit(name: str, width: int) -> str:
    return f"{name if len(name) <= width else name[: width - 1] + '…':<{width}}"
