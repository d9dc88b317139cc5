"""docs/record.schema.json describes what is really saved, with every field of every record."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import jsonschema
import pytest

from poolscope import records
from tests.cli.conftest import Program
from tests.cli.test_view import MIXED, PER_CALL

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "record.schema.json").read_text(encoding="utf-8")
)


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.processes
@pytest.mark.parametrize("text", [MIXED, PER_CALL + "1/0"], ids=["mixed", "failed"])
def test_every_saved_line_agrees(program: Program, text: str) -> None:
    program.write(text).run()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    lines = program.saved.read_text(encoding="utf-8").splitlines()
    for line in lines:
        validator.validate(json.loads(line))
    assert len(lines) > 20


def test_a_wrong_line_does_not() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert not validator.is_valid({"type": "summary"})
    assert not validator.is_valid({"type": "alien"})


@pytest.mark.parametrize("kind", get_args(records.Record))
def test_no_field_is_missing_from_it(kind: type[Any]) -> None:
    described = set(SCHEMA["$defs"][kind.type]["properties"])
    assert described == {
        "type",
        *(field.name for field in dataclasses.fields(kind) if field.metadata.get("saved", True)),
    }


def words_of(hint: Any) -> set[str | None]:
    """The words of a closed set, with None where a field may be None; empty for any other type."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    parts = [words_of(part) for part in get_args(hint) if part is not type(None)]
    words = set[str | None]().union(*parts) if get_origin(hint) in (Union, UnionType) else set()
    return words | {None} if words and type(None) in get_args(hint) else words


def closed_sets(kind: type[Any]) -> dict[str, set[str | None]]:
    return {name: words for name, hint in get_type_hints(kind).items() if (words := words_of(hint))}


@pytest.mark.parametrize("kind", [*get_args(records.Record), records.Holder])
def test_it_lists_the_words_of_every_closed_set(kind: type[Any]) -> None:
    described = SCHEMA["$defs"][getattr(kind, "type", "holder")]["properties"]
    assert {name: set(described[name]["enum"]) for name in closed_sets(kind)} == closed_sets(kind)


def test_closed_sets_are_found() -> None:
    assert set(closed_sets(records.Connection)) == {
        "via",
        "failed_phase",
        "close_reason",
        "closed_by",
        "error_type",
    }


@pytest.mark.processes
@pytest.mark.parametrize("text", [MIXED, PER_CALL + "1/0"], ids=["mixed", "failed"])
def test_the_report_as_json_agrees_with_its_own_schema(program: Program, text: str) -> None:
    schema = json.loads(
        (Path(__file__).resolve().parents[2] / "docs" / "report.schema.json").read_text("utf-8")
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    program.write(text).run("--quiet")
    report = json.loads(program.poolscope("view", "--json", str(program.saved)).stdout)
    jsonschema.Draft202012Validator(schema).validate(report)
    assert not jsonschema.Draft202012Validator(schema).is_valid({**report, "more": 1})
