"""The rows of the dashboards as data: each is a question about the connections, with the panels that answer it."""

from collections.abc import Iterator

from poolscope.signals import names
from stack.queries import (
    BY,
    CODE,
    DNS_NAME,
    ENVIRONMENT,
    KIND,
    PHASE,
    PORT,
    REASON,
    REUSED,
    SERVER,
    STATE,
    average,
    centile,
    metric,
    now,
    rate,
    ratio,
    reuse,
    used_once,
)
from stack.shapes import Panel, Question, Row, Scope, named


def are_reused(scope: Scope) -> Row:
    servers, by, ask = scope.servers, scope.by, scope.question
    return Row(
        "Are connections reused?",
        (
            Panel(
                "Reuse ratio",
                "Share of requests that reused a connection; a healthy client is near 1.",
                "percentunit",
                (ask(reuse(servers, by)),),
                base="red",
                limits=((0.5, "yellow"), (0.9, "green")),
            ),
            Panel(
                "Connections opened against requests",
                "If both lines coincide, every request opens a connection.",
                "reqps",
                (
                    ask(rate(names.OPENED, servers, by), "opened"),
                    ask(rate(names.REQUESTS_DONE, servers, by), "requests"),
                ),
            ),
            Panel(
                "Requests per connection",
                "Average of the connections closed lately; empty if none was closed.",
                "short",
                (ask(average(names.REQUESTS_PER_CONNECTION, servers, by)),),
            ),
            Panel(
                "Connections used once",
                "Share of the recently closed connections that served at most one request.",
                "percentunit",
                (ask(used_once(servers, by)),),
                base="green",
                limits=((0.5, "yellow"), (0.9, "red")),
            ),
            Panel(
                "Why connections were closed",
                "The reason, and who closed them.",
                "cps",
                (
                    # Every usual reason is reported as 0 from the start; only those that happen are shown.
                    ask(
                        f"{rate(names.CLOSED, servers, f'{by}, {REASON}, {BY}')} > 0",
                        named(REASON),
                        f"({named(BY)})",
                    ),
                ),
                "stacked",
            ),
            Panel(
                "Open connections",
                "Active and idle connections right now.",
                "short",
                (ask(now(names.OPEN_CONNECTIONS, servers, f"{by}, {STATE}"), named(STATE)),),
                "stacked",
            ),
            Panel(
                "Idle time at reuse",
                "Average idle time before a reuse; at httpx's limit of 5 s the connection is closed instead.",
                "s",
                (
                    ask(
                        ratio(
                            rate(names.REUSE_IDLE_TIME, servers, by),
                            rate(names.REQUESTS_DONE, f'{servers},{REUSED}="true"', by),
                        )
                    ),
                ),
                base="green",
                limits=((5.0, "red"),),
            ),
            Panel(
                "Age of closed connections",
                "Average time from open to close of the connections closed lately.",
                "s",
                (ask(average(names.CONNECTION_DURATION, servers, by)),),
            ),
            Panel(
                "Clients built",
                "With a client per request, this rate equals the rate of requests.",
                "cps",
                (
                    scope.of_service(
                        rate(names.CLIENTS_CREATED, scope.service, f"{scope.service_by}, {KIND}"), named(KIND)
                    ),
                ),
            ),
            Panel(
                "Clients alive",
                "Built and not closed; a line that only rises is a leak.",
                "short",
                (
                    scope.of_service(
                        now(names.CLIENTS_ALIVE, scope.service, f"{scope.service_by}, {KIND}"), named(KIND)
                    ),
                ),
            ),
        ),
    )


def is_the_pool_large_enough(scope: Scope) -> Row:
    servers, by, ask = scope.servers, scope.by, scope.question
    active = f'{servers},{STATE}="active"'
    kinds = f"{scope.service_by}, {KIND}"
    return Row(
        "Is the pool large enough?",
        (
            Panel(
                "Requests without a connection",
                "Above 0 for minutes: more work than connections.",
                "short",
                (ask(now(names.WAITING, servers, by)),),
                base="green",
                limits=((1.0, "yellow"),),
            ),
            Panel(
                "Waiting for a connection",
                "The average wait of the requests that had to wait, and how long the oldest has waited so far.",
                "s",
                (
                    ask(average(names.TIME_IN_QUEUE, servers, by), "waited"),
                    ask(f"max by ({by}) ({metric(names.OLDEST_WAIT)}{{{servers}}})", "oldest"),
                ),
                base="green",
                limits=((1.0, "red"),),
            ),
            Panel(
                "Busy connections",
                "Share of the open connections that serve a request; at 100 % with requests waiting, the pool is full.",
                "percentunit",
                (
                    ask(
                        ratio(
                            now(names.OPEN_CONNECTIONS, active, by), now(names.OPEN_CONNECTIONS, servers, by)
                        )
                    ),
                ),
            ),
            Panel(
                "Pool in use",
                "Connections in use, as a share of those that the pools may open; at 100 % the next request waits.",
                "percentunit",
                (
                    scope.of_service(
                        ratio(
                            now(names.POOL_COUNT, f'{scope.service},{STATE}="active"', kinds),
                            now(names.POOL_MAX, scope.service, kinds),
                        ),
                        named(KIND),
                    ),
                ),
                base="green",
                limits=((0.8, "yellow"), (1.0, "red")),
            ),
            Panel(
                "Pool timeouts",
                "Requests given up because their pool had no connection in time.",
                "reqps",
                (ask(rate(names.POOL_TIMEOUTS, servers, by)),),
            ),
            Panel(
                "Requests in progress",
                "Requests that are still waiting for response headers or body.",
                "short",
                (ask(now(names.ACTIVE_REQUESTS, servers, by)),),
            ),
        ),
    )


def what_does_setup_cost(scope: Scope) -> Row:
    servers, by, ask = scope.servers, scope.by, scope.question
    total = f'{servers},{PHASE}="total"'
    return Row(
        "What does setup cost?",
        (
            Panel(
                "Wasted on setup",
                "Seconds of connection setup per second, summed over all threads and tasks.",
                "s",
                (ask(rate(names.SETUP_DURATION, total, by, "sum")),),
            ),
            Panel(
                "Wasted on building clients",
                "Seconds of building clients in each second; tls_context is loading CA certificates for them.",
                "s",
                (
                    scope.of_service(
                        rate(
                            names.CONSTRUCTION_DURATION, scope.service, f"{scope.service_by}, {PHASE}", "sum"
                        ),
                        named(PHASE),
                    ),
                ),
            ),
            Panel(
                "Setup time by phase",
                "Seconds in each second, over all threads and tasks; tls_context is this process's own CPU.",
                "s",
                (ask(rate(names.SETUP_TIME, servers, f"{by}, {PHASE}"), named(PHASE)),),
            ),
            Panel(
                "Failed setups",
                "By the phase in which they failed.",
                "cps",
                (ask(rate(names.FAILED, servers, f"{by}, {PHASE}"), named(PHASE)),),
            ),
            Panel(
                "DNS lookups",
                "The average time to resolve each name.",
                "s",
                (
                    scope.of_service(
                        average(names.DNS_DURATION, scope.service, f"{scope.service_by}, {DNS_NAME}"),
                        named(DNS_NAME),
                    ),
                ),
            ),
        ),
    )


def what_do_requests_see(scope: Scope) -> Row:
    servers, by, ask = scope.servers, scope.by, scope.question
    return Row(
        "What do requests see?",
        (
            Panel(
                "Request duration, 95th centile",
                "From asking for a connection to the response headers; the dots open a trace.",
                "s",
                (ask(centile(0.95, names.REQUEST_DURATION, servers, by), exemplars=True),),
            ),
            Panel(
                "Requests by server",
                "Finished requests a second, by host and port.",
                "reqps",
                (
                    Question(
                        f"sort_desc({rate(names.REQUESTS_DONE, servers, f'{scope.service_by}, {SERVER}, {PORT}')})",
                        f"{scope.service_shown} {named(SERVER)}:{named(PORT)}",
                    ),
                ),
                "table",
            ),
        ),
    )


FINDINGS = "Top findings"


def what_did_poolscope_find(scope: Scope) -> Row:
    # `job` is namespace/name for a service with a namespace; events and traces have only the name.
    # Each process counts for itself: the sum of four workers with one habit would be 4.
    counted = f"max_over_time({metric(names.FINDINGS)}{{{scope.service}}}[$__range])"
    service = f'label_replace({counted}, "service", "$2", "job", "(.+/)?([^/]+)")'
    return Row(
        "What did poolscope find?",
        (
            Panel(
                FINDINGS,
                "Habits known in this time range, and at how many places one process has them; a click opens the event.",
                "short",
                (
                    Question(
                        f"topk(10, max by ({ENVIRONMENT}, service, {CODE}) ({service}) > 0)",
                        f"{named('service')} {named(ENVIRONMENT)} {named(CODE)}",
                    ),
                ),
                "table",
            ),
            Panel(
                "Facts lost",
                "If this is not 0, the numbers above lack as many facts.",
                "short",
                (scope.of_service(now(names.FACTS_DROPPED, scope.service, scope.service_by)),),
                "number",
                base="green",
                limits=((1.0, "red"),),
            ),
            Panel(
                "Hooks switched off",
                "A hook that failed three times; its facts are missing above.",
                "short",
                (
                    # A process has this series only once there is a finding; until then it is recognised by its facts.
                    scope.of_service(
                        f"{now(names.HOOKS_DISABLED, scope.service, scope.service_by)}"
                        f" or 0 * {now(names.FACTS_DROPPED, scope.service, scope.service_by)}"
                    ),
                ),
                "number",
                base="green",
                limits=((1.0, "red"),),
            ),
            Panel(
                "Processes that report",
                "Instances that send metrics; if more are running, some send nothing.",
                "short",
                (
                    scope.of_service(
                        f"count by ({scope.service_by}) ({metric(names.FACTS_DROPPED)}{{{scope.service}}})"
                    ),
                ),
            ),
        ),
    )


def rows(scope: Scope) -> Iterator[Row]:
    yield are_reused(scope)
    yield is_the_pool_large_enough(scope)
    yield what_does_setup_cost(scope)
    yield what_do_requests_see(scope)
    yield what_did_poolscope_find(scope)
