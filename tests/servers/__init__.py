"""Servers that know the truth: they number every connection and every request, and report the numbers out of band.

- `running`: start one, in a process or a thread, and read its log
- `behaviours`: what the HTTP/1.1 server does by path; `http2`, `proxies`: the other kinds
- `scripted`: a socket that the test itself writes and reads, byte by byte
"""

from tests.servers.certificates import Certificates
from tests.servers.config import ServerConfig
from tests.servers.gate import let_go
from tests.servers.log import SeenConnection, SeenRequest, ServerLog
from tests.servers.running import Running, ask_unobserved, in_process, in_thread
from tests.servers.scripted import Peer, Scripted, scripted

__all__ = [
    "Certificates",
    "Peer",
    "Running",
    "Scripted",
    "SeenConnection",
    "SeenRequest",
    "ServerConfig",
    "ServerLog",
    "ask_unobserved",
    "in_process",
    "in_thread",
    "let_go",
    "scripted",
]
