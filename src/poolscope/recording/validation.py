"""Checks a record that was read: the types of its fields at any depth, and its size. A file may come from anybody.
Numbers that no clock or counter reaches are refused. Strings that reports keep are stored once, up to a limit; later
ones become ``other``, as later origins and call sites do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from math import isfinite
from typing import Any, Final, TypeVar, get_args

from poolscope.facts import ERROR_TYPES
from poolscope.records import CallSite, Exchange, Holder, Phase, Record, Severity

LARGEST_COUNT: Final = 2**63
LARGEST_TIME: Final = 1e15
"""Seconds; a larger number is not a time, and sums of such numbers would overflow."""
MOST_ITEMS: Final = 256
"""Of one list or table."""
MOST_PHASES: Final = 32
ROOM: Final = 4_000_000
"""Characters of all strings together that are kept."""
OVERHEAD: Final = 64
"""The cost of a string besides its characters."""
OTHER: Final = "other"


class Strings:
    """Each string once, as long as there is room."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._known: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Strings {len(self._known)} kept, room for {self._room} characters>"

    def keep(self, text: str) -> str:
        """The same string, or ``other`` where there is no room for it."""
        known = self._known.get(text)
        if known is not None:
            return known
        if len(text) + OVERHEAD > self._room:
            return OTHER
        self._room -= len(text) + OVERHEAD
        self._known[text] = text
        return text


STRINGS: Final = Strings()
_Check = Callable[[Any], Any]
_Field = tuple[str, bool, _Check]
_Data = TypeVar("_Data")


def check(record: Record) -> None:
    """Refuse a record by ValueError unless every field has its type; store its strings once."""
    _check(record, _FIELDS[type(record)], f"a {record.type} record")


def checked(data: _Data, apart: Collection[str] = ()) -> _Data:
    """The same dataclass, refused by ValueError unless every field has its type; fields in ``apart`` are not
    checked.
    """
    kind = type(data)
    wanted = _FIELDS.get(kind) or _FIELDS.setdefault(kind, _fields_of(kind))
    _check(data, (each for each in wanted if each[0] not in apart), f"a {type(data).__name__}")
    return data


def _check(data: Any, wanted: Iterable[_Field], what: str) -> None:
    for name, optional, check_field in wanted:
        value = getattr(data, name)
        if value is None and optional:
            continue
        try:
            found = check_field(value)
        except (TypeError, ValueError, AttributeError, OverflowError):
            raise ValueError(f"{name} is not what {what} has there") from None
        if found is not value:
            setattr(data, name, found)


def _count(value: Any) -> int:
    if type(value) is not int or not -LARGEST_COUNT < value < LARGEST_COUNT:
        raise ValueError
    return value


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value) or abs(value) > LARGEST_TIME:
        raise ValueError
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _passing(value: Any) -> str:
    """Text that no report keeps."""
    if type(value) is not str:
        raise ValueError
    return value


def _kept(value: Any) -> str:
    return STRINGS.keep(_passing(value))


def _word(value: Any) -> Any:
    """A word of a closed set; a newer poolscope may have more of them than this one."""
    return _kept(value)


def _call_site(value: Any) -> CallSite:
    if type(value) is not CallSite:
        raise ValueError
    return CallSite(_kept(value.file), _count(value.line), _kept(value.function))


def _phase(value: Any) -> Phase:
    return Phase(_time(value.start), _time(value.duration), None if value.busy is None else _time(value.busy))


def _list_of(check_item: _Check) -> _Check:
    def checked_list(value: Any) -> list[Any]:
        if type(value) is not list or len(value) > MOST_ITEMS:
            raise ValueError
        return [check_item(item) for item in value]

    return checked_list


def _table_of(check_item: _Check, most: int) -> _Check:
    def checked_table(value: Any) -> dict[str, Any]:
        if len(value) > most:
            raise ValueError
        return {_kept(name): check_item(item) for name, item in value.items()}

    return checked_table


def _one_of(words: Collection[str]) -> _Check:
    def checked_word(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return checked_word


def _refuse(_: Any) -> Any:
    raise ValueError


def _holder(value: Any) -> Holder:
    return Holder(
        _count(value.slots),
        None if value.method is None else _kept(value.method),
        None if value.url is None else _kept(value.url),
        _word(value.state),
        None if value.since is None else _time(value.since),
        None if value.call_site is None else _call_site(value.call_site),
        _flag(value.stream),
    )


_CHECKS: Final[dict[str, _Check]] = {
    "int": _count,
    "float": _time,
    "bool": _flag,
    "str": _kept,
    "CallSite": _call_site,
    "dict[str, Phase]": _table_of(_phase, MOST_PHASES),
    "list[str]": _list_of(_kept),
    "dict[str, str]": _table_of(_kept, MOST_ITEMS),
    "dict[str, float]": _table_of(_time, MOST_PHASES),
    "Severity": _one_of(get_args(Severity)),
    "ErrorType": _one_of(ERROR_TYPES),
    "list[Holder]": _list_of(_holder),
    **dict.fromkeys(
        (
            "CloseKind",
            "ClosedBy",
            "CloseReason",
            "ConnectionState",
            "HolderState",
            "PhaseName",
            "Relation",
            "State",
            "Via",
            "WaitKind",
            "WaiterState",
        ),
        _word,
    ),
}
_PASSING: Final = frozenset(("method", "task", "url"))


def _fields_of(kind: type[Any]) -> tuple[_Field, ...]:
    found = []
    for field in fields(kind):
        if not field.metadata.get("saved", True):
            continue
        wanted = str(field.type).removesuffix(" | None")
        check_field = (
            _passing if kind is Exchange and field.name in _PASSING else _CHECKS.get(wanted, _refuse)
        )
        found.append((field.name, wanted != field.type, check_field))
    return tuple(found)


_FIELDS: Final[dict[type[Any], tuple[_Field, ...]]] = {kind: _fields_of(kind) for kind in get_args(Record)}
