"""The dashboards as data: the series of each board, and the choices at its top."""

from poolscope.signals import names
from stack.queries import ENVIRONMENT, PORT, SERVER, metric
from stack.rows import rows
from stack.shapes import Board, Scope, named

REQUESTS = metric(names.REQUESTS_DONE)
IN_ENVIRONMENT = f'{ENVIRONMENT}=~"$environment"'
ALL = f'{IN_ENVIRONMENT},job=~"$service"'
ONE = f'{IN_ENVIRONMENT},job="$service",instance=~"$instance"'
OF_SERVICES = f"{ENVIRONMENT}, job"
SERVICES = f"{named('job')} {named(ENVIRONMENT)}"
VARIABLES = {
    "environment": f"label_values({REQUESTS}, {ENVIRONMENT})",
    "service": f"label_values({REQUESTS}{{{IN_ENVIRONMENT}}}, job)",
}

BOARDS = (
    Board(
        "poolscope-connections",
        "poolscope: connections",
        {**VARIABLES, "server": f"label_values({REQUESTS}{{{ALL}}}, {SERVER})"},
        tuple(rows(Scope(f'{ALL},{SERVER}=~"$server"', ALL, OF_SERVICES, SERVICES, OF_SERVICES, SERVICES))),
        one_service=False,
    ),
    Board(
        "poolscope-service",
        "poolscope: one service",
        {
            **VARIABLES,
            "instance": f'label_values({REQUESTS}{{{IN_ENVIRONMENT},job="$service"}}, instance)',
            "server": f"label_values({REQUESTS}{{{ONE}}}, {SERVER})",
        },
        tuple(
            rows(
                Scope(
                    f'{ONE},{SERVER}=~"$server"',
                    ONE,
                    f"{SERVER}, {PORT}",
                    f"{named(SERVER)}:{named(PORT)}",
                    "instance",
                    named("instance"),
                )
            )
        ),
        one_service=True,
    ),
)
