"""A record is unchanged after it was saved and read, whatever is in it."""

from __future__ import annotations

import builtins
import dataclasses
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


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_it_is_unchanged(kind: type[Any], data: st.DataObject) -> None:
    record = data.draw(any_of(kind))
    line = records.to_json(record)
    assert "\n" not in line
    assert records.from_json(line) == record
