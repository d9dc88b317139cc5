"""The whole stack on this machine without containers, except Grafana, which cannot be built from a Go module.

python -m stack.local                 start everything, print the addresses, load both services until Ctrl-C
python -m stack.local --seconds 60    stop after a minute of load
python -m stack.local --any-ports     choose free ports instead of the usual ones
python -m stack.local --caddy         the services call the downstream through Caddy
"""

import argparse
import signal
import sys
import tempfile
import threading
from dataclasses import fields
from pathlib import Path

from stack import binaries
from stack.load import Load
from stack.ports import Ports
from stack.programs import HEALTHY, SICK, VARIANTS, Stack
from stack.running import CannotRunError, interval, require_free


def addresses(stack: Stack) -> str:
    """The addresses, for people."""
    ports = stack.ports
    prometheus = ports.url("prometheus")
    places = {
        "both services, side by side": f"{prometheus}/consoles/poolscope.html?export={stack.every:g}&minutes=15",
        "Prometheus": prometheus,
        "Jaeger": ports.url("jaeger_query"),
        "OTLP": f"127.0.0.1:{ports.otlp_grpc} (gRPC), {ports.url('otlp_http')} (HTTP)",
        f"{HEALTHY}, the healthy service": ports.url("healthy"),
        f"{SICK}, the sick service": ports.url("sick"),
        "what the downstream counted": ports.url("downstream_control"),
        "events, VictoriaLogs": f"{ports.url('logs')}/select/vmui/",
        "logs": str(stack.folder),
        "the fleet's report": f"poolscope report --prometheus {prometheus}",
    }
    return "\n".join(f"  {name:<29} {place}" for name, place in places.items())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.local", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--seconds", type=float, help="end after this much load (default: run until Ctrl-C, an hour at most)"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second to each service")
    parser.add_argument(
        "--every", type=interval, default=2.0, help="seconds between two exports of metrics (2)"
    )
    parser.add_argument("--any-ports", action="store_true", help="choose free ports")
    parser.add_argument(
        "--caddy", action="store_true", help="put Caddy between the services and the downstream"
    )
    parser.add_argument(
        "--collector",
        action="append",
        default=[],
        choices=VARIANTS,
        help="a variant of the Collector's settings",
    )
    options = parser.parse_args()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.default_int_handler)
    try:
        ports = Ports.any() if options.any_ports else Ports()
        require_free({field.name.replace("_", " "): getattr(ports, field.name) for field in fields(ports)})
        folder = Path(tempfile.mkdtemp(prefix="poolscope-stack-"))
        variants = tuple(options.collector)
        with Stack(
            folder, ports, may_build=True, overlays=variants, behind_caddy=options.caddy, every=options.every
        ) as stack:
            print(f"The stack is up:\n{addresses(stack)}", flush=True)
            load = Load([ports.url("healthy"), ports.url("sick")], options.rate, options.seconds or 3600.0)
            sending = threading.Thread(target=load.run, daemon=True)
            sending.start()
            try:
                sending.join()
            except KeyboardInterrupt:
                load.stopped.set()
                sending.join(30)
            for service, outcome in load.outcomes.items():
                print(f"{service}: {outcome.answered} answered, {outcome.failed} failed", flush=True)
    except (CannotRunError, binaries.MissingError) as reason:
        print(f"stack: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
