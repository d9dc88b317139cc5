"""Rows kept column by column, and the compressed payload that the page unpacks.

The payload is gzip, in base64: four bytes with the length of a JSON object, that object, zeros up to a
multiple of eight, then each column's bytes, again padded. The object has the name, type and beginning of each column.
Nothing in base64 can end a script element.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from math import nan
from typing import Any, Final

MICRO: Final = 1e6
PIECE: Final = 3 * 16_384
"""Bytes that become one piece of base64: a multiple of three, so that the pieces join."""
LONGEST_TEXT: Final = 300
TEXTS: Final = 150_000
"""How many different texts are kept; later ones read as `MORE`."""
MORE: Final = "(not kept: too many different ones)"
NONE: Final = 0xFFFFFFFF
"""A whole number that is not known."""
_TYPES: Final = {"d": "Float64", "I": "Uint32"}


class Columns:
    """A table of numbers: ``d`` for times in microseconds (NaN: unknown), ``I`` for whole numbers."""

    def __init__(self, **kinds: str) -> None:
        self.columns: dict[str, array[Any]] = {name: array(kind) for name, kind in kinds.items()}
        self._appends = [column.append for column in self.columns.values()]

    def __repr__(self) -> str:
        return f"<Columns {', '.join(self.columns)}: {len(self)} rows>"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def append(self, row: Sequence[Any]) -> None:
        """Put a row at the end, its values in the columns' order."""
        for append, value in zip(self._appends, row, strict=True):
            append(value)

    def keep(self, mask: Sequence[bool]) -> None:
        """Forget the rows for which ``mask`` is false."""
        for name, column in self.columns.items():
            self.columns[name] = array(column.typecode, compress(column, mask))
        self._appends = [column.append for column in self.columns.values()]


class Texts:
    """Texts by number: each is stored once, and a very long one is cut."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Texts {len(self._numbers)}>"

    def number(self, text: str | None) -> int:
        """The number of a text; `NONE` for None."""
        if text is None:
            return NONE
        if len(text) > LONGEST_TEXT:
            text = text[: LONGEST_TEXT - 1] + "…"
        if len(self._numbers) >= TEXTS and text not in self._numbers:
            text = MORE
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        """Every text, at the place of its number."""
        return list(self._numbers)


def micros(seconds: float | None) -> float:
    """Microseconds, whole; NaN for None."""
    return nan if seconds is None else float(round(seconds * MICRO))


def whole(number: int | None) -> int:
    """A number, or `UNKNOWN` for None, for a column of whole numbers."""
    return NONE if number is None or not 0 <= number < NONE else number


def payload(facts: Mapping[str, Any], tables: Mapping[str, Columns]) -> Iterator[str]:
    """The pieces of the page's data."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    waiting = b""
    for data in _raw(facts, tables):
        waiting += squeeze.compress(data)
        while len(waiting) >= PIECE:
            yield b64encode(waiting[:PIECE]).decode("ascii")
            waiting = waiting[PIECE:]
    yield b64encode(waiting + squeeze.flush()).decode("ascii")


def _raw(facts: Mapping[str, Any], tables: Mapping[str, Columns]) -> Iterator[bytes]:
    offset, layout = 0, {}
    for table, columns in tables.items():
        for name, column in columns.columns.items():
            layout[f"{table}.{name}"] = [_TYPES[column.typecode], offset, len(column)]
            offset += _padded(len(column) * column.itemsize)
    text = json.dumps({**facts, "columns": layout}, separators=(",", ":"), default=str).encode()
    yield len(text).to_bytes(4, "little") + text + bytes(_padded(len(text) + 4) - len(text) - 4)
    for columns in tables.values():
        yield from _bytes_of(columns.columns.values())


def _bytes_of(columns: Iterable[array[Any]]) -> Iterator[bytes]:
    for column in columns:
        data = _little_endian(column).tobytes()
        for start in range(0, len(data), 1 << 20):
            yield data[start : start + (1 << 20)]
        yield bytes(_padded(len(data)) - len(data))


def _little_endian(column: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column


def _padded(length: int) -> int:
    return length + -length % 8
