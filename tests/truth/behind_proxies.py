"""What a server behind a proxy saw, as if its clients had connected directly."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from urllib.parse import urlsplit

from tests.servers import SeenConnection, ServerLog


def through(proxy: ServerLog, origin: ServerLog) -> ServerLog:
    """The client's ports from the log of a tunnel or SOCKS proxy, and the requests from the origin's log."""
    outer: defaultdict[int | None, list[SeenConnection]] = defaultdict(list)
    for seen in proxy.connections:
        outer[seen.onward_port].append(seen)
    behind: dict[int, SeenConnection] = {}
    for inner in origin.connections:
        # A port may be reused, even by a connection that never reached the origin's log.
        before = [seen for seen in outer[inner.peer_port] if seen.accepted_at <= inner.accepted_at]
        behind[before[-1].serial] = inner
    connections = []
    for seen in proxy.connections:
        met = behind.get(seen.serial)
        requests = [] if met is None else met.requests
        ended = seen.ended if met is None else met.ended
        connections.append(dataclasses.replace(seen, requests=requests, ended=ended))
    return ServerLog(connections)


def forwarded(proxy: ServerLog) -> ServerLog:
    """The log of a forward proxy, which gets whole URLs, reduced to their paths."""
    return ServerLog(
        [
            dataclasses.replace(
                seen,
                requests=[
                    dataclasses.replace(request, path=urlsplit(request.path).path)
                    for request in seen.requests
                ],
            )
            for seen in proxy.connections
        ]
    )
