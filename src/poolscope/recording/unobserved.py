"""HTTP clients that poolscope does not observe."""

from __future__ import annotations

import sys
from typing import Final

from poolscope.libraries import urllib3_future

NOT_OBSERVED: Final = ("pycurl", "niquests", "curl_cffi", "grpc")
"""Clients with their own pools."""
_EXPORTERS: Final = "opentelemetry.exporter."


def not_observed(*, we_export: bool) -> list[str]:
    """The ones that the program has imported; also OpenTelemetry exporters, which ask not to be observed."""
    imported = list(sys.modules)
    found: list[str] = [name for name in NOT_OBSERVED if name in imported]
    if urllib3_future.has_replaced_urllib3():
        found.append(f"{urllib3_future.NAME} (in urllib3's place)")
    if not we_export and any(name.startswith(_EXPORTERS) for name in imported):
        found.append("the exporters of OpenTelemetry")
    return found
