"""The endpoint of ``--otlp``, which may be typed with a password in it."""

from __future__ import annotations

import pytest

from poolscope.recording.endpoint import parse_endpoint
from poolscope.recording.errors import UsageError


@pytest.mark.parametrize("scheme", ["", "http://", "https://", "ftp://"])
@pytest.mark.parametrize(
    "secret", ["sesame", "ses/ame", "ses?ame", "ses#ame", "ses@ame", "ses:ame", "ses ame"]
)
def test_a_password_is_refused_and_not_repeated(scheme: str, secret: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_endpoint(f"{scheme}me:{secret}@collector.test:4318")
    assert "credentials belong in OTEL_EXPORTER_OTLP_HEADERS" in str(refused.value)
    assert "ses" not in str(refused.value)
