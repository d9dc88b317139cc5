"""Whether the hooks fit the libraries that are installed, and what would not be seen of those that they do not fit."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
import warnings
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import ModuleType
from typing import Final, Literal, TypeAlias

from poolscope.libraries import urllib3_future
from poolscope.libraries.known import LIBRARIES
from poolscope.libraries.weaver import missing

Status: TypeAlias = Literal["fits", "untested", "incomplete", "broken", "replaced", "absent"]
"""``untested``: the hooks fit, and the version is not tested."""
MEANING: Final = (
    (r"(^|\.)(_get_conn|handle_(async_)?request)$", "exchanges, their waits, and which connection they got"),
    (r"\.urlopen$|\.request(_chunked)?$|\.getresponse$", "exchanges and their times"),
    (r"\._send_request_headers$", "which connection an exchange got, and its number there"),
    (r"\._send_request_body$", "when requests were sent"),
    (r"\.wait_for_connection$", "connections, their setup times and waits for one"),
    (r"BaseConnector\.connect$", "exchanges, their waits and which connection they got"),
    (r"ClientRequest\.send$", "the numbers of exchanges on their connections"),
    (r"ResponseHandler\.read$", "answers and their times"),
    (r"\.write_bytes$", "when requests with a body were sent"),
    (r"BaseConnector\._release$", "when exchanges ended, and idle times"),
    (r"\._resolve_host$", "the time of name lookups"),
    (r"\.start_connection$", "the time of connecting"),
    (r"\._connect_sock$", "how many addresses were tried"),
    (r"_wrap_create_connection$", "the time of the TLS handshake"),
    (r"\.(eof_received|connection_lost|abort)$", "how connections were closed"),
    (r"ClientSession\._(request|ws_connect)$", "redirects and retries as one call, and its line"),
    (r"\.(clear|unset)_connection$", "connections that were lost to another request"),
    (r"\.(_?create_connection|connect|_new_conn)$", "connections and their setup times"),
    (r"\._put_conn$", "when a connection becomes idle, and idle times"),
    (r"\._tunnel$", "the proxy tunnel's time"),
    (r"ssl_wrap_socket|start_tls", "the time of the TLS handshake and of loading certificates"),
    (r"getaddrinfo$", "the time of name lookups"),
    (r"(Client|Session|Manager)\.__init__$|_new_pool$", "clients, their lines and limits"),
    (r"\.(a?close|clear|__a?exit__)$", "how clients and connections were closed"),
    (r"\.send$", "redirects, retries and auth steps as one call"),
)

_NO_LOOKUPS: Final = (
    "the time of name lookups would be missing"  # the only hook of the libraries below a client
)


@dataclass(slots=True)
class Fit:
    """The state of one library."""

    name: str
    version: str | None
    status: Status
    hooks: int = 0
    missing: list[str] = field(default_factory=list)
    """Hook points that this version does not have, each with what will not be seen for it."""
    note: str | None = None


def examined(name: str) -> Fit:
    """Import a library and try its hooks."""
    package = name.partition(".")[0]
    version = version_of(package)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # urllib3's socks module warns where PySocks is missing
            module = importlib.import_module(name)
    except ImportError as error:
        if version is None or name != package:
            return Fit(name, version, "absent", note=None if name == package else "an optional part")
        return Fit(name, version, "broken", note=f"cannot be imported: {type(error).__name__}")
    # The imported module counts: another package may have taken this one's place.
    own = getattr(sys.modules[package], "__version__", None)
    return _try_hooks(name, own if isinstance(own, str) else version, module)


def _try_hooks(name: str, version: str | None, module: ModuleType) -> Fit:
    try:
        points = tuple(importlib.import_module(LIBRARIES[name].hooks).points(module))
        lost = missing(points, module)
    except Exception as error:  # what the guard would catch in a program
        note = f"the hooks do not fit ({type(error).__name__}: {error}); this library would not be observed"
        return Fit(name, version, "broken", note=note)
    if not points and urllib3_future.has_replaced_urllib3():
        note = f"left alone: {'it' if name.startswith('urllib3') else 'its urllib3'} is {urllib3_future.NAME}"
        return Fit(name, version, "replaced", note=note)
    if not points:
        return Fit(name, version, "incomplete", 0, [f"nothing to hook was found: {_NO_LOOKUPS}"])
    # Without socksio httpcore has no SOCKS proxies, only classes of that name that refuse.
    optional = ("SOCKSProxy", "AsyncSOCKSProxy") if find_spec("socksio") is None else ()
    unfit = [f"{point}: {meaning_of(point)}" for point in lost if point.split(".")[-2] not in optional]
    untested = None if version is None else _untested(name, version)
    status: Status = "incomplete" if unfit else "untested" if untested else "fits"
    return Fit(name, version, status, len(points) - len(lost), unfit, untested)


def meaning_of(point: str) -> str:
    """What poolscope does not see without the hook at ``point``."""
    for pattern, meaning in MEANING:
        if re.search(pattern, point):
            return f"{meaning} would be missing"
    return "some facts would be missing"


def _untested(name: str, version: str) -> str | None:
    tested = LIBRARIES[name].tested
    if tested is None:
        return None
    first, last = tested
    if _numbers(version) < _numbers(first):
        return f"older than {first}, the oldest tested"
    if _numbers(version)[: len(_numbers(last))] > _numbers(last):
        return f"newer than {last}.*, the newest tested"
    return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]


def version_of(package: str) -> str | None:
    """The installed version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
