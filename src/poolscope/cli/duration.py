"""Durations on the command line."""

from __future__ import annotations

import click


class Duration(click.ParamType[float]):
    """``30``, ``30s``, ``2m``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        text = str(value)
        factor = {"s": 1.0, "m": 60.0, "h": 3_600.0}.get(text[-1:], 0.0)
        try:
            seconds = float(text[:-1]) * factor if factor else float(text)
        except ValueError:
            seconds = 0.0
        if not 0.1 <= seconds <= 86_400:
            self.fail(f"{text!r} is not a time between 0.1s and 24h", param, ctx)
        return seconds
