"""The gate of a run: checked before the program starts, asked when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poolscope.recording import folder
from poolscope.recording.errors import UsageError
from poolscope.recording.options import Options
from poolscope.reports.renderer import Look

if TYPE_CHECKING:
    from poolscope.gate.verdict import Gate
    from poolscope.reports.overview import Overview

FAILED: Final = 4
"""The exit status of a command when a finding fails the gate."""


class RunGate:
    """The gate that the options and the project's pyproject.toml describe."""

    def __init__(self, options: Options) -> None:
        """UsageError if an option, or something in pyproject.toml, cannot be read."""
        self._options = options
        self._directory = folder.current()
        self._trouble: str | None = None
        self.failed = False
        """Whether a finding failed the run."""
        asked = (options.fail_on, options.ignore or None, options.baseline, options.write_baseline)
        self._gate: Gate | None = None if asked == (None,) * 4 else self._made()

    def __repr__(self) -> str:
        return f"<RunGate by {self._gate!r}{', failed' if self.failed else ''}>"

    @property
    def asked(self) -> bool:
        """Whether an option asks for a gate."""
        return self._gate is not None

    def _made(self) -> Gate:
        from poolscope.gate.verdict import GateOptions, gate_for

        given = self._options
        options = GateOptions(given.fail_on, given.ignore, given.baseline, given.write_baseline)
        return gate_for(options, self._directory)

    def open(self, overview: Overview) -> None:
        """Hide ignored findings; pyproject.toml is read only if there are findings."""
        try:
            if self._gate is None and overview.found():
                self._gate = self._made()
        except UsageError as error:  # no option asked for a gate, so the report is still printed
            self._trouble = str(error)
        if self._gate is not None:
            overview.shows = self._gate.shows

    @property
    def look(self) -> Look:
        """The look of reports that are made from the records again."""
        gate = self._gate
        return Look(root=self._directory) if gate is None else Look(shows=gate.shows, root=gate.root)

    def judge(self, overview: Overview) -> list[str]:
        """The outcome, one line each."""
        if self._gate is None:
            return [] if self._trouble is None else [self._trouble]
        from poolscope.gate.verdict import judged

        verdict, words = judged(self._gate, overview.found(), overview.lines)
        self.failed = bool(verdict.failing or (verdict.errors and self._gate.fail_on))
        return words
