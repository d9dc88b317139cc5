"""``poolscope doctor``: which libraries are installed, whether each hook fits, and what would be missing. The hooks
are really put into the libraries, and taken out again.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import sys
import warnings
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from types import ModuleType
from typing import Final

from poolscope.libraries import urllib3_future
from poolscope.libraries.known import LIBRARIES
from poolscope.libraries.weaver import missing
from poolscope.otel_version import too_old
from poolscope.recording.child_env import pth_is_installed
from poolscope.recording.unobserved import NOT_OBSERVED
from poolscope.reports.printable import page

NOTHING_HERE: Final = (
    "None of these libraries is installed here, so there is nothing to watch. Install poolscope beside your program's",
    "libraries, or one of them here: pip install 'poolscope[requests]', [httpx], [urllib3], [aiohttp]; [demo] for the demo.",
)
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
class Finding:
    """The state of one library."""

    name: str
    version: str | None
    status: str
    """``fits``, ``untested`` (hooks fit, version does not), ``incomplete``, ``broken``, ``replaced`` or ``absent``."""
    hooks: int = 0
    missing: list[str] = field(default_factory=list)
    """Hook points that this version does not have, each with what will not be seen for it."""
    note: str | None = None


def examine() -> list[Finding]:
    """Every library that poolscope knows, found or not."""
    return [examined(name) for name in LIBRARIES if name.partition(".")[0] not in sys.stdlib_module_names]


def examined(name: str) -> Finding:
    package = name.partition(".")[0]
    version = _version(package)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # urllib3's socks module warns where PySocks is missing
            module = importlib.import_module(name)
    except ImportError as error:
        if version is None or name != package:
            return Finding(name, version, "absent", note=None if name == package else "an optional part")
        return Finding(name, version, "broken", note=f"cannot be imported: {type(error).__name__}")
    # The imported module counts: another package may have taken this one's place.
    own = getattr(sys.modules[package], "__version__", None)
    return _try_hooks(name, own if isinstance(own, str) else version, module)


def _try_hooks(name: str, version: str | None, module: ModuleType) -> Finding:
    try:
        points = tuple(importlib.import_module(LIBRARIES[name].hooks).points(module))
        lost = missing(points, module)
    except Exception as error:  # what the guard would catch in a program
        note = f"the hooks do not fit ({type(error).__name__}: {error}); this library would not be observed"
        return Finding(name, version, "broken", note=note)
    if not points and urllib3_future.has_replaced_urllib3():
        note = f"left alone: {'it' if name.startswith('urllib3') else 'its urllib3'} is {urllib3_future.NAME}"
        return Finding(name, version, "replaced", note=note)
    if not points:
        return Finding(name, version, "incomplete", 0, [f"nothing to hook was found: {_NO_LOOKUPS}"])
    # Without socksio httpcore has no SOCKS proxies, only classes of that name that refuse.
    optional = ("SOCKSProxy", "AsyncSOCKSProxy") if find_spec("socksio") is None else ()
    unfit = [f"{point}: {meaning_of(point)}" for point in lost if point.split(".")[-2] not in optional]
    untested = None if version is None else _untested(name, version)
    status = "incomplete" if unfit else "untested" if untested else "fits"
    return Finding(name, version, status, len(points) - len(lost), unfit, untested)


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


def others() -> list[str]:
    """HTTP clients that are installed here and that poolscope does not observe."""
    versions = {name: _version({"grpc": "grpcio"}.get(name, name)) for name in NOT_OBSERVED}
    return [f"{name} {version}" for name, version in versions.items() if version is not None]


def opentelemetry() -> dict[str, str | None]:
    """The versions of OpenTelemetry's packages, and whether they fit."""
    found = {part: _version(f"opentelemetry-{part}") for part in ("api", "sdk", "instrumentation")}
    version = found["api"]
    if version is None:
        note: str | None = "not installed: no signals; the extra poolscope[otel] brings it"
    else:
        note = too_old(version)
        if note is None and found["sdk"] is None:
            note = "signals go nowhere without an SDK"
    return {**found, "note": note}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def text(findings: list[Finding]) -> str:
    """The findings for people."""
    lines = [f"Python {sys.version.split()[0]}, {sys.executable}", ""]
    for finding in findings:
        lines.append(_line(finding))
        lines += [f"    {point}" for point in finding.missing]
    if all(finding.status == "absent" for finding in findings):
        lines += ["", *NOTHING_HERE]
    lines += ["", _opentelemetry_line(), "", *_surroundings()]
    return page(lines)


def _line(finding: Finding) -> str:
    words = {
        "fits": _hooks(finding.hooks),
        "untested": f"{_hooks(finding.hooks)}, but this version is {finding.note}",
        "incomplete": f"{finding.hooks} hooks fit, {len(finding.missing)} do not:",
        "broken": finding.note or "",
        "replaced": finding.note or "",
        "absent": "not installed" if finding.note is None else f"not installed ({finding.note})",
    }
    return f"  {finding.name:<26}{finding.version or '–':<12}{words[finding.status]}"


def _hooks(number: int) -> str:
    return "the hook fits" if number == 1 else f"all {number} hooks fit"


def _opentelemetry_line() -> str:
    versions = opentelemetry()
    parts = [f"{part} {versions[part] or 'not installed'}" for part in ("sdk", "instrumentation")]
    words = [versions["note"] or "signals fit", *(parts if versions["api"] else [])]
    return f"  {'opentelemetry-api':<26}{versions['api'] or '–':<12}{', '.join(words)}"


def _surroundings() -> list[str]:
    lines = []
    if pth_is_installed():
        lines.append(
            "POOLSCOPE=1 and followed children work in every Python of this environment (poolscope.pth is there)."
        )
    else:
        lines.append(
            "poolscope.pth is not installed here: POOLSCOPE=1 does nothing, children are followed through PYTHONPATH."
        )
    unseen = others()
    if unseen:
        lines.append(f"Not observed, though installed: {', '.join(unseen)}.")
    if not hasattr(os, "register_at_fork"):
        lines.append("This system has no fork.")
    return lines


def as_json(findings: list[Finding]) -> str:
    """The findings for programs."""
    data = {
        "python": sys.version.split()[0],
        "libraries": [asdict(f) for f in findings],
        "opentelemetry": opentelemetry(),
        "not_observed": others(),
    }
    return json.dumps(data, indent=2) + "\n"
