"""Empties our instruments in a forked child: the parent reports the sums from before the fork. The SDK copies them to
the child, which would report them again under its own name. The copy of a lock that another thread held at the fork is never
released, so all of them are renewed: an export holds one for as long as its collector takes. OpenTelemetry's API has
nothing for this, so this file alone knows names of the SDK; if they are different, the SDK's copy stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any


def forget(instruments: Iterable[Any]) -> None:
    """In a forked child: reset ``instruments`` to 0, with free locks of the SDK for all instruments."""
    # A proxy if it was made before the program had set its meter provider.
    ours = [getattr(instrument, "_real_instrument", instrument) for instrument in instruments]
    consumers = {id(known): known for one in ours if (known := getattr(one, "_measurement_consumer", None))}
    for consumer in consumers.values():
        _renew(consumer, "_lock", threading.Lock)
        for reader, storage in getattr(consumer, "_reader_storages", {}).items():
            _renew(reader, "_export_lock", threading.Lock)
            _renew(storage, "_lock", threading.RLock)
            for instrument, matches in getattr(storage, "_instrument_view_instrument_matches", {}).items():
                for match in matches:
                    _begin_again(match, empty=any(instrument is one for one in ours))


def _begin_again(match: Any, *, empty: bool) -> None:
    """Renew the locks of one instrument's data, and perhaps empty it."""
    if not hasattr(match, "_attributes_aggregation") or not hasattr(match, "_lock"):
        return
    # In place: a thread that no longer exists may hold the storage's own lock.
    match._lock = threading.Lock()
    if empty:
        match._attributes_aggregation = {}
    for aggregation in match._attributes_aggregation.values():
        _renew(aggregation, "_lock", threading.Lock)


def _renew(owner: Any, name: str, new: Callable[[], Any]) -> None:
    if hasattr(owner, name):
        setattr(owner, name, new())
