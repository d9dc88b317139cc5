"""The result of a handshake."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from poolscope import facts
from poolscope.libraries.tls import note_tls


@pytest.mark.parametrize("tls", [None, False, object()])
def test_without_a_handshake_nothing_is_known(tls: Any) -> None:
    """aiohttp's own tests have transports that answer False to each question."""
    sheet = facts.Connection(("http", "a.test", None), 0)
    note_tls(tls, sheet)
    assert (sheet.alpn, sheet.tls_version, sheet.cipher, sheet.resumed) == (None, None, None, None)


def test_before_a_handshake_there_is_no_version() -> None:
    sheet = facts.Connection(("https", "a.test", None), 0)
    note_tls(
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="a.test"),
        sheet,
    )
    assert (sheet.alpn, sheet.tls_version, sheet.cipher) == (None, None, None)
