"""Cases for promtool: each alert with values below, at and above its limit, exported every 60 s."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from stack.programs import ROOT

RULES = yaml.safe_load((ROOT / "stack" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))["groups"][
    0
]["rules"]
PROMETHEUS = "http://prometheus:9090"


@dataclass
class Case:
    """Series made for one alert, the time to look, and the labels of the alert that fires; None if it is silent."""

    alert: str
    name: str
    series: dict[str, str]
    at: str = "20m"
    fires: dict[str, str] | None = None
    value: str = ""
    """The alert's value as it appears in its summary."""

    def expected(self) -> list[dict]:
        if self.fires is None:
            return []
        rule = next(rule for rule in RULES if rule["alert"] == self.alert)
        labels = {"deployment_environment_name": "prod", "job": "billing", **self.fires}
        return [
            {
                "exp_labels": {**rule["labels"], **labels},
                "exp_annotations": {
                    name: self.rendered(text, labels) for name, text in rule["annotations"].items()
                },
            }
        ]

    def rendered(self, text: str, labels: dict[str, str]) -> str:
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        text = re.sub(r"\{\{ \$value.*?\}\}", self.value, text)
        return text.replace("{{ $externalURL }}", PROMETHEUS)

    def as_promtool(self) -> dict:
        return {
            "name": f"{self.alert}: {self.name}",
            "interval": "60s",
            "external_url": PROMETHEUS,
            "input_series": [
                {"series": name, "values": values.strip()} for name, values in self.series.items()
            ],
            "alert_rule_test": [
                {"eval_time": self.at, "alertname": self.alert, "exp_alerts": self.expected()}
            ],
        }


WHO = 'deployment_environment_name="prod",job="billing"'
API = 'server_address="api",server_port="443"'
OF_API = {"server_address": "api", "server_port": "443"}


def requests(reused: float, fresh: float, server: str = API) -> dict[str, str]:
    """A counter that grows by this many a minute."""
    name = f"poolscope_requests_total{{{WHO},{server}"
    return {
        f'{name},poolscope_connection_reused="true"}}': f"0+{reused}x40",
        f'{name},poolscope_connection_reused="false"}}': f"0+{fresh}x40",
    }


def waiting(values: str, oldest: str) -> dict[str, str]:
    return {
        f"poolscope_pool_pending_requests{{{WHO},{API}}}": values,
        f"poolscope_pool_oldest_wait_seconds{{{WHO},{API}}}": oldest,
    }


def setups(**count: float) -> dict[str, str]:
    """Counters that grow by this many a minute, by outcome: an error's class, or `good`."""
    name = f'poolscope_connection_setup_duration_seconds_count{{{WHO},{API},poolscope_setup_phase="total"'
    return {
        f"{name}}}" if error == "good" else f'{name},error_type="{error}"}}': f"0+{each}x40"
        for error, each in count.items()
    }


def closes(each: float, by: str = "client") -> dict[str, str]:
    name = f'poolscope_connections_closed_total{{{WHO},instance="a",{API},poolscope_connection_closed_by="{by}"}}'
    return {name: f"0+{each}x40"}


def findings(*values: str) -> dict[str, str]:
    """What each process counts."""
    return {
        f'poolscope_findings_total{{{WHO},instance="{instance}",poolscope_finding_code="PS101"}}': each
        for instance, each in zip("abcd", values, strict=False)
    }


def dropped(values: str) -> dict[str, str]:
    return {f'poolscope_facts_dropped_total{{{WHO},instance="a"}}': values}


def disabled(values: str) -> dict[str, str]:
    return {f'poolscope_hooks_disabled{{{WHO},instance="a",poolscope_hook_name="httpx.send"}}': values}


TO_SERVER = "ConnectionReuseFallsToServer"
OF_SERVICE = "ConnectionReuseFalls"
WAIT = "RequestsWaitForConnections"
SETUPS = "ConnectionSetupsFail"
PORTS = "EphemeralPortsBurn"
SPREAD = {
    name: values
    for port in range(1, 11)
    for name, values in requests(0, 6, f'server_address="api",server_port="{port}"').items()
}
HIDDEN = {**requests(0, 60), **requests(6000, 0, 'server_address="other",server_port="443"')}

CASES = [
    Case(TO_SERVER, "48 of 120 reuse", requests(48, 72), fires=OF_API, value="40%"),
    Case(TO_SERVER, "half of them, exactly", requests(60, 60)),
    Case(TO_SERVER, "72 of 120", requests(72, 48)),
    Case(TO_SERVER, "none ever", requests(0, 120), fires=OF_API, value="0%"),
    Case(TO_SERVER, "one bad server behind a busy good one", HIDDEN, fires=OF_API, value="0%"),
    Case(TO_SERVER, "31 requests a minute", requests(0, 31), fires=OF_API, value="0%"),
    Case(TO_SERVER, "30 a minute, the least", requests(0, 30)),
    Case(TO_SERVER, "29 a minute", requests(0, 29)),
    Case(TO_SERVER, "for less than 5 minutes", requests(48, 72), at="5m"),
    Case(OF_SERVICE, "ten servers with six requests a minute each", SPREAD, fires={}, value="0%"),
    Case(OF_SERVICE, "one server that explains it", requests(0, 120)),
    Case(OF_SERVICE, "half of them, exactly", requests(60, 60)),
    Case(OF_SERVICE, "most reuse", requests(72, 48)),
    Case(WAIT, "5 wait steadily, the oldest 8 s", waiting("5x40", "8x40"), fires=OF_API, value="5"),
    Case(WAIT, "the queue grows", waiting("0+1x40", "0+1x40"), fires=OF_API, value="20"),
    Case(WAIT, "the oldest a second, exactly", waiting("5x40", "1x40")),
    Case(WAIT, "the oldest half a second", waiting("5x40", "0.5x40")),
    Case(WAIT, "nobody", waiting("0x40", "8x40")),
    Case(WAIT, "a pause each third minute", waiting("5 5 0 " * 14, "8 8 0 " * 14)),
    Case(WAIT, "for 4 minutes", waiting("0x15 5x4 0x20", "0x15 8x4 0x20"), at="20m"),
    Case(WAIT, "over for 3 minutes", waiting("5x16 0x30", "8x16 0x30"), fires=OF_API, value="5"),
    Case(WAIT, "over for 7 minutes", waiting("5x12 0x30", "8x12 0x30")),
    Case(SETUPS, "3 of 15", setups(connection_error=3, good=12), fires=OF_API, value="20%"),
    Case(SETUPS, "2 of 20, a tenth exactly", setups(connection_error=2, good=18)),
    Case(SETUPS, "1 of 20", setups(connection_error=1, good=19)),
    Case(SETUPS, "all, none was ever opened", setups(connection_error=7), fires=OF_API, value="100%"),
    Case(SETUPS, "6 a minute, the least", setups(connection_error=6)),
    Case(SETUPS, "5 a minute", setups(connection_error=5)),
    Case(
        PORTS,
        "250 closed a second",
        closes(15000),
        fires={"instance": "a", **OF_API},
        value="53.13%",
    ),
    Case(PORTS, "half of the ports, exactly", closes(14116)),
    Case(PORTS, "220 a second", closes(13200)),
    Case(PORTS, "closed by the server", closes(15000, "server")),
    Case("HabitFound", "one", findings("1x40"), fires={"poolscope_finding_code": "PS101"}, value="1"),
    Case("HabitFound", "at the first export", findings("1x40"), "0m", {"poolscope_finding_code": "PS101"}, "1"),
    Case("HabitFound", "four workers", findings("1x40", "2x40", "1x40", "0x40"), fires={"poolscope_finding_code": "PS101"}, value="2"),
    Case("HabitFound", "none", findings("0x40")),
    Case("FactsDropped", "7 lost", dropped("0x15 7x40"), fires={"instance": "a"}),
    Case("FactsDropped", "7 lost before the first export", dropped("_x15 7x40"), fires={"instance": "a"}),
    Case("FactsDropped", "7 lost an hour ago, before the first export", dropped("_x5 7x100"), at="80m"),
    Case("FactsDropped", "7 lost an hour ago", dropped("0x5 7x100"), at="80m"),
    Case("FactsDropped", "none", dropped("0x40")),
    Case("HooksDisabled", "one", disabled("1x40"), fires={"poolscope_hook_name": "httpx.send"}),
    Case("HooksDisabled", "none", disabled("0x40")),
]  # fmt: skip
