"""Empties our instruments in a forked child: the parent reports the sums from before the fork. The SDK copies them to
the child, which would report them again under its own name. The copy of a lock that another thread held at the fork is never
released, so these are renewed: an export holds one for as long as its collector takes. OpenTelemetry's API has
nothing for this, so this file alone knows names of the SDK; if they are different, the SDK's copy stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any


def forget(instruments: Iterable[Any]) -> None:
    """In a forked child: reset ``instruments`` to 0, with free locks."""
    for instrument in instruments:
        # A proxy if it was made before the program had set its meter provider.
        real = getattr(instrument, "_real_instrument", instrument)
        consumer = getattr(real, "_measurement_consumer", None)
        _renew(consumer, "_lock", threading.Lock)
        for reader, storage in getattr(consumer, "_reader_storages", {}).items():
            _renew(reader, "_export_lock", threading.Lock)
            _renew(storage, "_lock", threading.RLock)
            for match in getattr(storage, "_instrument_view_instrument_matches", {}).get(real, ()):
                if hasattr(match, "_attributes_aggregation") and hasattr(match, "_lock"):
                    # In place: a thread that no longer exists may hold the storage's own lock.
                    match._attributes_aggregation = {}
                    match._lock = threading.Lock()


def _renew(owner: Any, name: str, new: Callable[[], Any]) -> None:
    if hasattr(owner, name):
        setattr(owner, name, new())
