"""Whether OpenTelemetry suppresses instrumentation here, as exporters do around their own requests.

Asked in the sense of ``opentelemetry.instrumentation.utils.is_instrumentation_enabled()``. Suppressed
HTTP instrumentation alone only decides who owns the request's span, never whether to observe.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_CONTEXT: Final = "opentelemetry.context"
_PLAIN_KEY: Final = "suppress_instrumentation"


def suppressed() -> bool:
    """Whether nothing may be observed in the current context."""
    context: Any = sys.modules.get(_CONTEXT)
    if context is None:
        return False
    try:
        values = context.get_current()
    except AttributeError:  # still being imported
        return False
    if not values:
        return False
    if values.get(_PLAIN_KEY):
        return True
    key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", None)
    return key is not None and bool(values.get(key))
