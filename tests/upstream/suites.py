"""The suites, with their versions and test dependencies.

The versions of the test tools are pinned to those that each suite passed with when it was released: a newer
click or trio makes some of these tests fail on their own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """One library's own tests, from its sdist."""

    name: str
    version: str
    extras: str
    tools: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    interpreter: tuple[str, ...] = ()
    """Options of the Python interpreter."""
    note: str = ""
    """What a reader of the result must know."""

    @property
    def pinned(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def requirements(self) -> tuple[str, ...]:
        return (f"{self.name}[{self.extras}]=={self.version}", *self.tools)


ENCODE = (
    "pytest==8.2.2",
    "pytest-httpbin==2.0.0",
    "pytest-trio==0.8.0",
    "werkzeug<3.1",
    "trio==0.27.0",
    "trustme==1.2.0",
    "cryptography==44.0.0",
)

AIOHTTP_CLIENT = tuple(
    f"tests/test_{name}.py"
    for name in (
        "client_connection client_exceptions client_fingerprint client_functional client_middleware "
        "client_middleware_digest_auth client_proto client_request client_response client_session client_ws "
        "client_ws_functional connector cookiejar proxy proxy_functional resolver tracing"
    ).split()
)

SUITES = {
    suite.name: suite
    for suite in (
        Suite("httpcore", "1.0.9", "asyncio,trio,http2,socks", ENCODE),
        Suite(
            "httpx",
            "0.28.1",
            "brotli,cli,http2,socks,zstd",
            (*ENCODE, "chardet==5.2.0", "uvicorn==0.32.1", "click==8.1.7", "httpcore==1.0.9"),
            arguments=("-m", "not network"),
        ),
        Suite(
            "requests",
            "2.34.2",
            "socks",
            (
                "pytest==8.4.2",
                "pytest-httpbin==2.1.0",
                "httpbin~=0.10.0",
                "pytest-mock==3.14.0",
                "trustme==1.2.1",
            ),
        ),
        Suite(
            "aiohttp",
            "3.14.5",
            "speedups",
            (
                "pytest==9.0.3",
                "pytest-mock==3.15.1",
                "pytest-cov==7.1.0",
                "pytest-timeout==2.4.0",
                "blockbuster==1.5.26",
                "freezegun==1.5.5",
                "isal==1.8.0",
                "proxy.py==2.4.10",
                "pytest-codspeed==5.0.3",
                "trustme==1.2.1",
                "zlib-ng==1.0.0",
            ),
            arguments=(
                "-o",
                "addopts=--strict-markers -m 'not dev_mode and not autobahn and not internal'",
                *AIOHTTP_CLIENT,
            ),
            interpreter=("-P",),
            note="the tests of its client; its server is none of our business",
        ),
        Suite(
            "urllib3",
            "2.8.0",
            "brotli,h2,socks,zstd",
            (
                "pytest==8.4.2",
                "pytest-socket==0.7.0",
                "pytest-timeout==2.4.0",
                "anyio[trio]>=4.8",
                "httpx==0.28.1",
                "hypercorn==0.18.0",
                "quart==0.20.0",
                "quart-trio==0.12.0",
                "trio==0.33.0",
                "h2==4.3.0",
                "cryptography==49.0.0",
                "pyopenssl>=25.3",
                "idna>=3.10",
                "trustme==1.2.1",
            ),
            note=(
                "its suite wants a fork of hypercorn that is not published; with the published one the tests "
                "that need the fork's changes fail bare, and so say nothing about poolscope"
            ),
        ),
    )
}
