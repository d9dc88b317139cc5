"""A record is unchanged after it was saved and read, whatever is in it."""

from __future__ import annotations

import builtins
import dataclasses
import enum
import json
import types
import typing
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolscope import records

KINDS = get_args(records.Record)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that a field of this type may hold, at any depth; numbers in number fields are finite."""
    inner = [values(part) for part in get_args(kind) if part is not Ellipsis]
    match get_origin(kind) or kind:
        case builtins.float:
            return NUMBERS
        case builtins.list:
            return st.lists(*inner, max_size=3)
        case builtins.dict:
            return st.dictionaries(*inner, max_size=3)
        case builtins.tuple if Ellipsis in get_args(kind):
            return st.lists(*inner, max_size=3).map(tuple)
        case builtins.tuple:
            return st.tuples(*inner)
        case types.UnionType | typing.Union:
            return st.one_of(inner)
        case record if dataclasses.is_dataclass(record):
            return any_of(kind)
    return st.from_type(kind)


def any_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    saved = [field for field in dataclasses.fields(kind) if field.metadata.get("saved", True)]
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in saved})


def as_json_writes(record: Any) -> str:
    """What the json module makes of it by itself."""
    saved = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.metadata.get("saved", True)
    }
    return json.dumps({"type": record.type, **saved}, default=dataclasses.asdict, separators=(",", ":"))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_it_is_unchanged(kind: type[Any], data: st.DataObject) -> None:
    record = data.draw(any_of(kind))
    line = records.to_json(record)
    assert "\n" not in line
    assert line == as_json_writes(record)
    assert records.from_json(line) == record


class Name(str):
    """As some clients have for a method."""

    __slots__ = ()


class Status(enum.IntEnum):
    """As `http.HTTPStatus` is."""

    OK = 200


@pytest.mark.parametrize(
    "value",
    [
        float("inf"),
        float("-inf"),
        float("nan"),
        1e300,
        5e-324,
        -0.0,
        True,
        10**30,
        Name("GÉT%s"),
        Status.OK,
        [1.5, None],
    ],
)
def test_odd_values_are_written_as_json_writes_them(value: Any) -> None:
    record = records.Pool(1, 2, None, value, value, value, None)
    assert records.to_json(record) == as_json_writes(record)
