"""PS120: the time between an answer and its retry, slept away inside the library.

It fires for a line and an origin where at least `MIN_SLEPT` seconds lay between the end of one attempt and the start
of the next of the same call.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Exchange, Finding

MIN_SLEPT: Final = 1.0
MOMENT: Final = 0.1
"""Up to so many seconds between two attempts are not a sleep: a busy machine takes them without one."""


class _Slept:
    __slots__ = ("longest", "place", "reasons", "retries", "seconds")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.retries = 0
        self.seconds = self.longest = 0.0
        self.reasons: dict[str, None] = {}


class RetriesSleep(Rule):
    """The rule. State: the end of recent attempts that may be retried, and a few numbers per line."""

    code: ClassVar[str] = "PS120"
    title: ClassVar[str] = "retries sleep"
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "The library retries by itself and sleeps in between: for as long as Retry-After says, or for its backoff. "
        "The caller only sees a slow request."
    )

    def __init__(self) -> None:
        self._ended: Bounded[tuple[int, int], Exchange] = Bounded()
        self._slept: Bounded[Place, _Slept] = Bounded()

    def exchange(self, record: Exchange) -> None:
        """Relate a retry to the attempt before it."""
        before = None if record.previous is None else self._ended.pop((record.pid, record.previous), None)
        if before is not None and record.relation == "retry":
            self._retried(before, record)
        if record.error is not None or (record.status or 0) >= 400:
            self._ended.put((record.pid, record.id), record)

    def _retried(self, before: Exchange, record: Exchange) -> None:
        if before.finished_at is None or record.started_at is None:
            return
        slept = record.started_at - before.finished_at
        if slept < MOMENT:
            return
        place = self.known.place_of(record)
        sums = self._slept.get_or_put(place, lambda: _Slept(place))
        sums.retries += 1
        sums.seconds += slept
        sums.longest = max(sums.longest, slept)
        sums.reasons[str(before.status) if before.status else (before.error or "").rpartition(".")[2]] = None

    def findings(self) -> list[Finding]:
        """One per process, origin and line."""
        return [self._finding(each) for each in self._slept.values() if each.seconds >= MIN_SLEPT]

    def _finding(self, slept: _Slept) -> Finding:
        after = ", ".join(list(slept.reasons)[:5])
        many = "retry" if slept.retries == 1 else "retries"
        return self.finding(
            slept.place,
            slept.retries,
            f"{slept.retries:,} {many} of requests to {slept.place.origin} (after {after}) slept "
            f"between attempts, up to {slept.longest:.1f} s at once.",
            "Retry less often or with a shorter backoff, or ignore Retry-After "
            "(urllib3: Retry(total=…, backoff_factor=…, respect_retry_after_header=False)).",
            slept.seconds,
            "sleep",
        )
