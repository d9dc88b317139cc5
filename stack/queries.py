"""The dashboards' queries to Prometheus: names made from poolscope's own table, expressions, Grafana's variables.

A name that changes in that table changes here as well. Services are distinguished by `job` and `instance`, which
every way from OTLP to Prometheus sets; `service_name` exists only where it is promoted to a label.
"""

from dataclasses import dataclass

from poolscope.signals import names, table

UNITS = {"s": "seconds", "By": "bytes"}
ENVIRONMENT = "deployment_environment_name"
EXPORT_SECONDS = 60.0
"""How often OpenTelemetry's SDK exports metrics by default."""


def metric(name: str, part: str = "") -> str:
    """A metric of ours as Prometheus names it when it comes over OTLP; `part` of a histogram: bucket, count or sum."""
    known = table.METRICS[name]
    words = [name.replace(".", "_")]
    if unit := UNITS.get(known.unit):
        words.append(unit)
    if known.kind == "counter":
        words.append("total")
    if part:
        words.append(part)
    return "_".join(words)


def label(attribute: str) -> str:
    """An attribute of ours as a label in Prometheus."""
    assert attribute in names.ATTRIBUTES
    return attribute.replace(".", "_")


SERVER = label(names.SERVER_ADDRESS)
PORT = label(names.SERVER_PORT)
REUSED = label(names.REUSED)
PHASE = label(names.PHASE)
REASON = label(names.CLOSE_REASON)
BY = label(names.CLOSED_BY)
STATE = label(names.STATE)
CODE = label(names.FINDING_CODE)
KIND = label(names.CLIENT_KIND)
DNS_NAME = label(names.DNS_NAME)


def rate(name: str, selector: str, by: str, part: str = "") -> str:
    """Per second, over a window that holds at least four exports."""
    return f"sum by ({by}) (rate({metric(name, part)}{{{selector}}}[$__rate_interval]))"


def now(name: str, selector: str, by: str) -> str:
    return f"sum by ({by}) ({metric(name)}{{{selector}}})"


def ratio(part: str, whole: str) -> str:
    """No value where the whole is zero, instead of NaN or infinity."""
    return f"{part} / ({whole} > 0)"


def centile(q: float, name: str, selector: str, by: str) -> str:
    """The centile of what was observed in the window; no value if nothing was."""
    observed = rate(name, selector, by, "count")
    return f"histogram_quantile({q}, {rate(name, selector, f'le, {by}', 'bucket')}) and {observed} > 0"


def average(name: str, selector: str, by: str) -> str:
    return ratio(rate(name, selector, by, "sum"), rate(name, selector, by, "count"))


def reuse(selector: str, by: str) -> str:
    # `or` keeps a service that never reuses: its ratio is 0, but without `or` there would be no series.
    done = rate(names.REQUESTS_DONE, selector, by)
    reused = rate(names.REQUESTS_DONE, f'{selector},{REUSED}="true"', by)
    return ratio(f"({reused} or 0 * {done})", done)


def used_once(selector: str, by: str) -> str:
    """Share of the closed connections that had served one request or none."""
    # Prometheus writes the bound as "1" or "1.0", depending on its version.
    one = rate(names.REQUESTS_PER_CONNECTION, f'{selector},le=~"1|1[.]0"', by, "bucket")
    return ratio(one, rate(names.REQUESTS_PER_CONNECTION, selector, by, "count"))


def window(step: float, export: float) -> float:
    """Grafana's `$__rate_interval`; the panels' "Min step" is the export interval."""
    return max(step + export, 4 * export)


@dataclass(frozen=True)
class Asking:
    """The values of Grafana's variables: the choices at the top of a board, the step and the time range."""

    service: str = ".*"
    instance: str = ".*"
    server: str = ".*"
    environment: str = ".*"
    export: float = EXPORT_SECONDS
    step: float = EXPORT_SECONDS
    range: float = 3600.0

    def fill_in(self, expression: str) -> str:
        words = {
            "$__rate_interval": f"{window(self.step, self.export):.0f}s",
            "$__range": f"{self.range:.0f}s",
            "$service": self.service,
            "$instance": self.instance,
            "$server": self.server,
            "$environment": self.environment,
        }
        for name, value in words.items():
            expression = expression.replace(name, value)
        return expression
