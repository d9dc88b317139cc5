"""Signals wait while a recording is finished; the program's handlers are back afterwards, whatever happens."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from poolscope.recording.termination import undisturbed


def handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_ctrl_c_between_two_handlers(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may take a signal that this one blocks, and its handler runs here all the same."""
    before, mask = handlers(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    usual = signal.signal
    made: list[int] = []

    def sets(number: int, handler: Any) -> Any:
        usual(number, handler)
        made.append(number)
        if len(made) == calls:
            raise KeyboardInterrupt

    monkeypatch.setattr(signal, "signal", sets)
    with pytest.raises(KeyboardInterrupt), undisturbed():
        raise AssertionError("it was never begun")
    assert len(made) > calls
    assert handlers() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
