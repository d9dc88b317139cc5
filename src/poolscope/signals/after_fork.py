"""What the SDK has summed up in our instruments before a fork is the parent's to tell, not the child's.

The SDK copies it to the child, which would tell all of it again under its own name. OpenTelemetry's API has
no word for it, so this one file knows names of the SDK; where they are different the SDK's copy stays.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any


def forget(instruments: Iterable[Any]) -> None:
    """In a forked child: let ``instruments`` begin at nothing, with locks that nobody holds."""
    for instrument in instruments:
        # A proxy if it was made before the program had set its meter provider.
        real = getattr(instrument, "_real_instrument", instrument)
        consumer = getattr(real, "_measurement_consumer", None)
        for storage in getattr(consumer, "_reader_storages", {}).values():
            for match in getattr(storage, "_instrument_view_instrument_matches", {}).get(real, ()):
                if hasattr(match, "_attributes_aggregation") and hasattr(match, "_lock"):
                    # In place: the storage's own lock may be held by a thread that is not there any more.
                    match._attributes_aggregation = {}
                    match._lock = threading.Lock()
