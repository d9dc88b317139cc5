"""Our own certificate authority for TLS on loopback, made once per test run."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files for both sides: ``server`` holds key and chain, ``authority`` what clients trust."""

    server: str
    authority: str

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts only this authority."""
        return ssl.create_default_context(cafile=self.authority)


def make(directory: Path) -> Certificates:
    """Write a fresh authority, and a certificate for localhost and 127.0.0.1, into ``directory``."""
    authority = trustme.CA()
    server, trusted = directory / "server.pem", directory / "authority.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
    authority.cert_pem.write_to_path(str(trusted))
    return Certificates(str(server), str(trusted))
