"""How many series a healthy server has in Prometheus by default."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.servers import Running, in_thread
from tests.servers.certificates import Certificates

MOST = 50


def series_of(telemetry: Any, *attributes: str) -> int:
    """A bucket is a series, and so are a histogram's overflow bucket, sum and count."""
    return sum(
        len(point.bucket_counts) + 2 if hasattr(point, "bucket_counts") else 1
        for metric in telemetry.everything()
        for point in metric.data.data_points
        if set(attributes) & set(point.attributes)
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_healthy_server_is_fifty_series_at_most(
    scheme: str, telemetry, tls: Running, certificates: Certificates
) -> None:
    with in_thread() as plain, telemetry.instrumented():
        place = tls if scheme == "https" else plain
        with httpx.Client(verify=certificates.trusting(), trust_env=False) as client:
            for _ in range(5):
                client.get(f"{scheme}://localhost:{place.port}/fixed/1").raise_for_status()
        count = series_of(telemetry, "server.address", "dns.question.name")
    assert 20 < count <= MOST
