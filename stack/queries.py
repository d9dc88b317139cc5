"""Every question that the dashboards ask Prometheus, as data; the tests ask all of them of a real one.

Metric and label names are made from poolscope's own table of names by Prometheus's rules, so that a name
changed there cannot be forgotten here.
"""

from dataclasses import dataclass, field

from poolscope.signals import names

UNITS = {"s": "seconds", "By": "bytes"}


def metric(name: str, part: str = "") -> str:
    """A metric of ours as Prometheus calls it when it came over OTLP; `part` of a histogram: bucket, count or sum."""
    known = names.METRICS[name]
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
REUSED = label(names.REUSED)
PHASE = label(names.PHASE)
REASON = label(names.CLOSE_REASON)
BY = label(names.CLOSED_BY)
STATE = label(names.STATE)
CODE = label(names.FINDING_CODE)
KIND = label(names.CLIENT_KIND)

ALL = f'service_name=~"$service",{SERVER}=~"$server"'
OF_SERVICE = 'service_name=~"$service"'
ONE = f'service_name="$service",service_instance_id=~"$instance",{SERVER}=~"$server"'
OF_ONE = 'service_name="$service",service_instance_id=~"$instance"'


@dataclass(frozen=True)
class Question:
    """One expression and what its series are called."""

    expression: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class Panel:
    """A title, what it tells in one sentence, a unit of Grafana's, and its questions."""

    title: str
    tells: str
    unit: str
    questions: tuple[Question, ...]
    kind: str = "lines"
    """lines, stacked, table or number."""
    limits: tuple[float, ...] = field(default=())


@dataclass(frozen=True)
class Board:
    """A dashboard: its fixed uid, its variables (name → PromQL for label_values), its panels."""

    uid: str
    title: str
    variables: dict[str, str]
    panels: tuple[Panel, ...]


def rate(name: str, selector: str, by: str, part: str = "") -> str:
    return f"sum by ({by}) (rate({metric(name, part)}{{{selector}}}[$__rate_interval]))"


def centile(q: float, name: str, selector: str, by: str) -> str:
    return f"histogram_quantile({q}, {rate(name, selector, f'le, {by}', 'bucket')})"


def average(name: str, selector: str, by: str) -> str:
    return f"{rate(name, selector, by, 'sum')} / {rate(name, selector, by, 'count')}"


def reuse(selector: str, by: str) -> str:
    # `or` keeps a service that never reuses: its ratio is 0, and without it there would be no series.
    done = rate(names.REQUESTS_DONE, selector, by)
    reused = rate(names.REQUESTS_DONE, f'{selector},{REUSED}="true"', by)
    return f"({reused} or 0 * {done}) / {done}"


def panels(selector: str, service: str, by: str) -> tuple[Panel, ...]:
    """What both dashboards show, for all services or for one; `by` is the label that tells lines apart."""
    shown = f"{{{{{by}}}}}"
    per_connection = f"{rate(names.REQUESTS_DONE, selector, by)} / {rate(names.OPENED, selector, by)}"
    return (
        Panel(
            "Reuse ratio",
            "Share of requests that found a ready connection; a healthy client is near 1.",
            "percentunit",
            (Question(reuse(selector, by), shown),),
        ),
        Panel(
            "Connections opened against requests",
            "Both lines on one another: a connection per request.",
            "reqps",
            (
                Question(rate(names.OPENED, selector, by), f"{shown} opened"),
                Question(rate(names.REQUESTS_DONE, selector, by), f"{shown} requests"),
            ),
        ),
        Panel(
            "Open connections",
            "Active and idle connections right now.",
            "short",
            (
                Question(
                    f"sum by ({by}, {STATE}) ({metric(names.OPEN_CONNECTIONS)}{{{selector}}})",
                    f"{shown} {{{{{STATE}}}}}",
                ),
            ),
            "stacked",
        ),
        Panel(
            "Why connections were closed",
            "Reason, and who did it.",
            "cps",
            (
                Question(
                    rate(names.CLOSED, selector, f"{by}, {REASON}, {BY}"),
                    f"{shown} {{{{{REASON}}}}} ({{{{{BY}}}}})",
                ),
            ),
            "stacked",
        ),
        Panel(
            "Setup time by phase, 95th centile",
            "Where a new connection's time goes; tls_context is this process's own CPU.",
            "s",
            (
                Question(
                    centile(0.95, names.SETUP_DURATION, selector, f"{by}, {PHASE}"),
                    f"{shown} {{{{{PHASE}}}}}",
                    exemplars=True,
                ),
            ),
        ),
        Panel(
            "Wasted on setup",
            "Seconds of connection setup in each second, over all threads and tasks.",
            "s",
            (Question(rate(names.SETUP_DURATION, f'{selector},{PHASE}="total"', by, "sum"), shown),),
        ),
        Panel(
            "Waiting for a connection",
            "95th centile of the pool wait of requests that had to wait, and how long the oldest has waited so far.",
            "s",
            (
                Question(centile(0.95, names.TIME_IN_QUEUE, selector, by), f"{shown} waited", exemplars=True),
                Question(f"max by ({by}) ({metric(names.OLDEST_WAIT)}{{{selector}}})", f"{shown} oldest"),
            ),
        ),
        Panel(
            "Requests without a connection",
            "Growing: more work than connections.",
            "short",
            (Question(f"sum by ({by}) ({metric(names.WAITING)}{{{selector}}})", shown),),
        ),
        Panel(
            "Requests per connection",
            "Requests for each connection opened; 1 means that none was ever used again.",
            "short",
            (Question(per_connection, shown),),
        ),
        Panel(
            "Idle time at reuse",
            "Average rest before a reuse; at httpx's limit of 5 s the connection is dropped instead.",
            "s",
            (
                Question(
                    f"{rate(names.REUSE_IDLE_TIME, selector, by)} / {rate(names.REUSE_COUNT, selector, by)}",
                    shown,
                ),
            ),
            limits=(5.0,),
        ),
        Panel(
            "Request duration, 95th centile",
            "From asking for a connection to the response headers; exemplars open the trace in Jaeger.",
            "s",
            (Question(centile(0.95, names.REQUEST_DURATION, selector, by), shown, exemplars=True),),
        ),
        Panel(
            "Failed setups",
            "By the phase that failed.",
            "cps",
            (Question(rate(names.FAILED, selector, f"{by}, {PHASE}"), f"{shown} {{{{{PHASE}}}}}"),),
        ),
        Panel(
            "Top findings",
            "What poolscope recognised; the line of code is in the event of the same code.",
            "short",
            (
                Question(
                    f"topk(10, sum by (service_name, {CODE}) ({metric(names.FINDINGS)}{{{service}}}))",
                    f"{{{{service_name}}}} {{{{{CODE}}}}}",
                ),
            ),
            "table",
        ),
        Panel(
            "Clients built",
            "A client per request shows here as a rate like the requests'.",
            "cps",
            (
                Question(
                    rate(names.CLIENTS_CREATED, service, f"service_name, {KIND}"),
                    f"{{{{service_name}}}} {{{{{KIND}}}}}",
                ),
            ),
        ),
        Panel(
            "Facts lost",
            "Not 0: the numbers above are too small by as many facts.",
            "short",
            (
                Question(
                    f"sum by (service_name) ({metric(names.FACTS_DROPPED)}{{{service}}})", "{{service_name}}"
                ),
            ),
            "number",
        ),
    )


REQUESTS = metric(names.REQUESTS_DONE)
BOARDS = (
    Board(
        "poolscope-connections",
        "poolscope: connections",
        {
            "service": f"label_values({REQUESTS}, service_name)",
            "server": f"label_values({REQUESTS}{{{OF_SERVICE}}}, {SERVER})",
        },
        panels(ALL, OF_SERVICE, "service_name"),
    ),
    Board(
        "poolscope-service",
        "poolscope: one service",
        {
            "service": f"label_values({REQUESTS}, service_name)",
            "instance": f'label_values({REQUESTS}{{service_name="$service"}}, service_instance_id)',
            "server": f'label_values({REQUESTS}{{service_name="$service"}}, {SERVER})',
        },
        panels(ONE, OF_ONE, SERVER),
    ),
)
