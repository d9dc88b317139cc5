"""``poolscope doctor``: which libraries are installed, whether each hook fits, and what would be missing. The hooks
are really put into the libraries, and taken out again.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Final

from poolscope.libraries.fit import Fit, examined, version_of
from poolscope.libraries.known import LIBRARIES
from poolscope.otel_version import too_old
from poolscope.recording.child_env import pth_is_installed
from poolscope.recording.unobserved import NOT_OBSERVED
from poolscope.reports.printable import page

NOTHING_HERE: Final = (
    "None of these libraries is installed here, so there is nothing to watch. Install poolscope beside your program's",
    "libraries, or one of them here: pip install 'poolscope[requests]', [httpx], [urllib3], [aiohttp]; [demo] for the demo.",
)


def examine() -> list[Fit]:
    """Every library that poolscope knows, found or not."""
    return [examined(name) for name in LIBRARIES if name.partition(".")[0] not in sys.stdlib_module_names]


def others() -> list[str]:
    """HTTP clients that are installed here and that poolscope does not observe."""
    versions = {name: version_of({"grpc": "grpcio"}.get(name, name)) for name in NOT_OBSERVED}
    return [f"{name} {version}" for name, version in versions.items() if version is not None]


def opentelemetry() -> dict[str, str | None]:
    """The versions of OpenTelemetry's packages, and whether they fit."""
    found = {part: version_of(f"opentelemetry-{part}") for part in ("api", "sdk", "instrumentation")}
    version = found["api"]
    if version is None:
        note: str | None = "not installed: no signals; the extra poolscope[otel] brings it"
    else:
        note = too_old(version)
        if note is None and found["sdk"] is None:
            note = "signals go nowhere without an SDK"
    return {**found, "note": note}


def text(fits: list[Fit]) -> str:
    """The libraries for people."""
    lines = [f"Python {sys.version.split()[0]}, {sys.executable}", ""]
    for fit in fits:
        lines.append(_line(fit))
        lines += [f"    {point}" for point in fit.missing]
    if all(fit.status == "absent" for fit in fits):
        lines += ["", *NOTHING_HERE]
    lines += ["", _opentelemetry_line(), "", *_surroundings()]
    return page(lines)


def _line(fit: Fit) -> str:
    words = {
        "fits": _hooks(fit.hooks),
        "untested": f"{_hooks(fit.hooks)}, but this version is {fit.note}",
        "incomplete": f"{fit.hooks} hooks fit, {len(fit.missing)} do not:",
        "broken": fit.note or "",
        "replaced": fit.note or "",
        "absent": "not installed" if fit.note is None else f"not installed ({fit.note})",
    }
    return f"  {fit.name:<26}{fit.version or '–':<12}{words[fit.status]}"


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


def as_json(fits: list[Fit]) -> str:
    """The libraries for programs."""
    data = {
        "python": sys.version.split()[0],
        "libraries": [asdict(fit) for fit in fits],
        "opentelemetry": opentelemetry(),
        "not_observed": others(),
    }
    return json.dumps(data, indent=2) + "\n"
