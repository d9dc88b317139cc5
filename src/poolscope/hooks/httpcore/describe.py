"""What an httpcore stream says about itself: addresses, and what TLS negotiated."""

from __future__ import annotations

from typing import Any

from poolscope.facts import Connection
from poolscope.queue import is_the_hosts


def note_tls(stream: Any, connection: Connection) -> None:
    """What was negotiated, as far as the TLS object says."""
    tls = stream.get_extra_info("ssl_object")
    if tls is None:
        return
    connection.alpn = tls.selected_alpn_protocol()
    if hasattr(tls, "version"):
        connection.tls_version = tls.version()
        cipher = tls.cipher()
        connection.cipher = cipher[0] if cipher else None
        connection.resumed = getattr(tls, "session_reused", None)


def note_addresses(stream: Any, connection: Connection) -> None:
    """The socket's own two addresses; a peer that is gone already has none."""
    for name, slot in (("client_addr", "local"), ("server_addr", "peer")):
        try:
            setattr(connection, slot, stream.get_extra_info(name))
        except Exception as error:
            if is_the_hosts(error):
                raise
            setattr(connection, slot, None)
