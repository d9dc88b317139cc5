"""What the clients under load do: a shuffled mix of jobs, each with its own path."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Action = Literal["read", "leave", "time_out", "cancel", "digest"]


@dataclass(frozen=True, slots=True)
class Job:
    """One call on a client."""

    path: str
    action: Action = "read"
    patience: float = 0.0
    """Seconds until the read times out or the task is cancelled."""


Mix = dict[tuple[str, Action], int]

MIX: Mix = {
    ("/fixed", "read"): 26,
    ("/size/40000", "read"): 8,
    ("/chunked", "read"): 12,
    ("/slow/4", "read"): 8,
    ("/empty", "read"): 4,
    ("/redirect/fixed", "read"): 6,
    ("/redirect/close", "read"): 2,
    ("/digest", "digest"): 3,
    ("/flaky", "read"): 3,
    ("/close", "read"): 8,
    ("/http10", "read"): 4,
    ("/last", "read"): 5,
    ("/reset", "read"): 2,
    ("/cut", "read"): 2,
    ("/drop", "read"): 2,
    ("/size/400000", "leave"): 3,
    ("/silence", "time_out"): 1,
    ("/stall", "time_out"): 1,
}
"""(path, action) → how many of a hundred."""

WHOLE_ANSWERS = {
    kind: share for kind, share in MIX.items() if kind[0].split("/")[1] in ("fixed", "size", "slow")
}
"""Jobs that a forward proxy passes on unchanged."""
NO_RESETS = {kind: share for kind, share in MIX.items() if kind[0] != "/reset"}
"""Jobs that a tunnel passes on unchanged: a reset arrives as an end."""
STREAMS: Mix = {
    ("/fixed", "read"): 50,
    ("/slow/4", "read"): 20,
    ("/slow/20", "read"): 6,
    ("/redirect/fixed", "read"): 10,
    ("/fixed", "leave"): 4,
    ("/rst", "read"): 4,
}
"""What an HTTP/2 server is asked for."""
SILENCES: Mix = {("/silence", "time_out"): 2}
"""Added where a connection need not last."""

CANCELLATIONS: Mix = {("/slow/20", "cancel"): 6, ("/fixed", "cancel"): 4}
"""Added where tasks can be cancelled."""


def jobs(count: int, cancellable: bool, seed: int, mix: Mix = MIX) -> Iterator[Job]:
    """``count`` jobs of the mix, in an order that depends on ``seed``."""
    mix = mix | (CANCELLATIONS if cancellable else {})
    chance = random.Random(seed)
    kinds = chance.choices(list(mix), list(mix.values()), k=count)
    for number, (path, action) in enumerate(kinds):
        patience = 0.06 if action == "time_out" else chance.uniform(0, 0.015) if action == "cancel" else 0.0
        yield Job(f"{path}/{seed}-{number}", action, patience)
