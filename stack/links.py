"""Where a click on a board leads: the other board, the traces in Jaeger, the event of a finding in VictoriaLogs.

The addresses of Jaeger and VictoriaLogs are variables at the top of each board; when somebody clicks, Grafana
replaces what is in the braces.
"""

import urllib.parse
from dataclasses import dataclass

from poolscope.signals import names
from stack.queries import CODE

ADDRESSES = {"jaeger": "http://localhost:16686", "logs": "http://localhost:9428"}
"""The addresses of both in the stack."""
# `job` is namespace/name for a service with a namespace; the links show and search only the name.
NAME_IN_JOB = r"/(?<value>(?:.*\/)?(?<text>[^\/]+))/"

KEPT = "${datasource:queryparam}&${environment:queryparam}&${export:queryparam}&${jaeger:queryparam}&${logs:queryparam}"
UNREUSED = urllib.parse.quote('{"' + names.REUSED + '":"false"}')


@dataclass(frozen=True)
class Link:
    """A title and an address with Grafana's variables in it."""

    title: str
    url: str


def events(logs: str, service: str, code: str) -> str:
    """Address of a finding's events in VictoriaLogs, each with its file and line."""
    place = f"<{names.CODE_FILE}>:<{names.CODE_LINE}> <{names.CODE_FUNCTION}>"
    # The table of that page has a column for the message, so the important part goes there.
    query = f'{{service.name="SERVICE"}} {names.FINDING_CODE}:=CODE | format "{place}: <_msg>" as _msg'
    asked = urllib.parse.quote(query).replace("SERVICE", service).replace("CODE", code)
    return f"{logs}/select/vmui/#/?query={asked}&view=table&g0.range_input=7d&g0.relative_time=last_7_days"


def of_service(jaeger: str, service: str, tags: str = "") -> str:
    """Address of a search for a service's traces in Jaeger."""
    asked = f"{jaeger}/search?service={service}&lookback=1h&limit=200"
    return f"{asked}&tags={tags}" if tags else asked


FINDING = Link(
    "The event, with the file and the line",
    events("${logs}", "${__data.fields.service}", f"${{__data.fields.{CODE}}}"),
)
ONE_SERVICE = Link(
    "Take this service apart",
    f"/d/poolscope-service?var-service=${{__field.labels.job}}&{KEPT}&${{__url_time_range}}",
)
TRACES_OF_LINE = Link("Its traces in Jaeger", of_service("${jaeger}", "${__field.labels.job}"))

OF_ALL = (Link("Jaeger", "${jaeger}/search"), Link("All events", "${logs}/select/vmui/"))
OF_ONE_SERVICE = (
    Link("Traces that opened a connection", of_service("${jaeger}", "${service:text}", UNREUSED)),
    Link("Its traces", of_service("${jaeger}", "${service:text}")),
    Link("All events", "${logs}/select/vmui/"),
)
