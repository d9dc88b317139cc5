"""The oldest libraries that poolscope supports, and some between those and the newest, which `make test` uses.

Each set is one environment; the libraries do not depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pins:
    """One environment's libraries."""

    name: str
    libraries: tuple[str, ...]


TOOLS = (
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "jsonschema>=4.23",
    "h2>=4.1",
    "hypercorn>=0.17",
    "uvicorn>=0.30",
    "trustme>=1.2",
    "trio>=0.27",
    "pysocks>=1.7",
    "click>=8.1",
    "rich>=13.7",
    "wrapt>=1.14",
    "opentelemetry-sdk>=1.38",
    "opentelemetry-exporter-otlp-proto-http>=1.38",
    "opentelemetry-instrumentation-httpx>=0.59b0",
    "opentelemetry-instrumentation-requests>=0.59b0",
    "opentelemetry-instrumentation-urllib3>=0.59b0",
)
"""The requirements of the tests themselves."""

SETS = {
    pins.name: pins
    for pins in (
        Pins(
            "oldest",
            (
                "httpx[http2,socks]==0.25.2",
                "httpcore==1.0.0",
                "requests==2.31.0",
                "urllib3==1.26.15",
                "aiohttp==3.10.0",
            ),
        ),
        Pins(
            "older",
            (
                "httpx[http2,socks]==0.26.0",
                "httpcore==1.0.4",
                "requests==2.31.0",
                "urllib3==1.26.20",
                "aiohttp==3.11.18",
            ),
        ),
        Pins(
            "old",
            (
                "httpx[http2,socks]==0.27.2",
                "httpcore==1.0.6",
                "requests==2.32.3",
                "urllib3==2.0.7",
                "aiohttp==3.12.15",
            ),
        ),
    )
}

TESTS = ("tests/libraries", "tests/truth/test_close_reasons.py")


def _opentelemetry(name: str, version: str = "", contrib: str = "") -> Pins:
    packages = ("distro", "instrumentation-requests", "instrumentation-httpx")
    return Pins(
        name,
        (
            f"opentelemetry-sdk{version}",
            *(f"opentelemetry-{package}{contrib}" for package in packages),
            *("requests>=2.31", "httpx>=0.25,<1", "click>=8.1", "rich>=13.7"),
        ),
    )


OPENTELEMETRY = (
    _opentelemetry("1.27", "==1.27.0", "==0.48b0"),
    _opentelemetry("1.30", "==1.30.0", "==0.51b0"),
    _opentelemetry("1.33", "==1.33.1", "==0.54b1"),
    # the last that is too old for our signals, and the first that is not
    _opentelemetry("1.37", "==1.37.0", "==0.58b0"),
    _opentelemetry("1.38", "==1.38.0", "==0.59b0"),
    _opentelemetry("newest"),
)
"""Versions of OpenTelemetry too old for us; the official packages must work as without us."""
