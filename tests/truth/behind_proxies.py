"""What a server behind a proxy saw, told as if its clients had come by themselves."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from urllib.parse import urlsplit

from tests.servers import SeenConnection, ServerLog


def through(proxy: ServerLog, origin: ServerLog) -> ServerLog:
    """The client's ports from the proxy's log, the requests from the origin's; of a tunnel or SOCKS proxy."""
    behind: defaultdict[int | None, list[SeenConnection]] = defaultdict(list)
    for seen in origin.connections:
        behind[seen.peer_port].append(seen)
    told = []
    for seen in proxy.connections:
        waiting = behind[seen.onward_port]
        inner = waiting.pop(0) if waiting else None
        requests = [] if inner is None else inner.requests
        ended = seen.ended if inner is None else inner.ended
        told.append(dataclasses.replace(seen, requests=requests, ended=ended))
    return ServerLog(told)


def forwarded(proxy: ServerLog) -> ServerLog:
    """The log of a forward proxy, which is asked for whole URLs, with their paths alone."""
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
