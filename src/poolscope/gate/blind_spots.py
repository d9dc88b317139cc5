"""What poolscope cannot see in this process, where finding nothing proves nothing."""

from __future__ import annotations

import sys

from poolscope.instrumentor import INSTRUMENTOR
from poolscope.libraries.fit import Fit, examined
from poolscope.libraries.known import LIBRARIES
from poolscope.recording.unobserved import not_observed


def blind_spots() -> list[str]:
    """A sentence for each imported library that is not observed, or not completely."""
    others = not_observed(we_export=True)
    seen = [examined(name) for name in LIBRARIES if name in sys.modules and name != "ssl"]
    spots = [_sentence(found) for found in seen if found.status in ("incomplete", "broken")]
    spots += [f"{hook} failed and switched itself off" for hook in INSTRUMENTOR.ledger.hooks_disabled]
    if others:
        spots.append(f"{', '.join(others)}: imported here, but not observed by poolscope")
    return spots


def _sentence(found: Fit) -> str:
    why = found.note or "; ".join(found.missing)
    return f"{found.name} {found.version or ''} is not a version that poolscope can watch: {why}"
