"""HTTP/2 on httpcore: an exchange is counted where its stream gets an id, which is also its wire order.

The order in which requests are assigned to a connection is not that of their streams, and any task may
read or flush for the others; only the two methods wrapped here say what belongs to whom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from poolscope.facts import now
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.httpcore.exchange import account, discount
from poolscope.hooks.httpcore.state import CURRENT, Flight
from poolscope.hooks.traced import TracedClasses

STREAM: Final = object()
"""What `Flight.bound` is on HTTP/2: no write on the stream is the flight's alone."""
_METHODS: Final = ("_send_request_headers", "_send_request_body")


def trace_protocol(protocol: Any) -> bool:
    """Watch an HTTP2Connection object's streams; False where it cannot be watched."""
    if not all(hasattr(protocol, name) for name in _METHODS):
        return False
    return (ASYNC_PROTOCOLS if hasattr(protocol, "aclose") else PROTOCOLS).adopt(protocol)


@guard("httpcore.h2_stream")
def stream_begins(stream_id: int | None) -> None:
    """The current exchange is about to send its headers on a stream of its own."""
    flight: Flight | None = CURRENT.get()
    if flight is not None and flight.wire is not None and flight.bound is None:
        account(flight.wire, flight, stream_id)
        flight.bound = STREAM


@guard("httpcore.h2_unsent")
def stream_failed(error: BaseException) -> None:
    """Sending the headers raised; where h2 itself refused, nothing was sent, and the id may be another's."""
    flight: Flight | None = CURRENT.get()
    refused = type(error).__module__.partition(".")[0] == "h2"
    if refused and flight is not None and flight.bound is STREAM:
        discount(flight)


@guard("httpcore.h2_sent")
def sent() -> None:
    """The current exchange has sent its body, which may be none, after its headers."""
    flight: Flight | None = CURRENT.get()
    if flight is not None:
        flight.sheet.sent_at = now()


def _sends(original: Callable[..., Any]) -> Callable[..., Any]:
    begins = original.__name__ == _METHODS[0]

    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        if begins:
            stream_begins(kwargs.get("stream_id"))
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            if begins:
                stream_failed(error)
            hide_frame(error)
            raise
        if not begins:
            sent()
        return result

    return send


def _async_sends(original: Callable[..., Any]) -> Callable[..., Any]:
    begins = original.__name__ == _METHODS[0]

    async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        if begins:
            stream_begins(kwargs.get("stream_id"))
        try:
            result = await original(self, *args, **kwargs)
        except BaseException as error:
            if begins:
                stream_failed(error)
            hide_frame(error)
            raise
        if not begins:
            sent()
        return result

    return send


PROTOCOLS: Final = TracedClasses(dict.fromkeys(_METHODS, _sends))
ASYNC_PROTOCOLS: Final = TracedClasses(dict.fromkeys(_METHODS, _async_sends))
