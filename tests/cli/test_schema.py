"""docs/record.schema.json describes what is really saved, and every field of every record."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from poolscope import records
from poolscope.ledger.closing import REASONS
from tests.cli.conftest import Program
from tests.cli.test_view import MIXED, PER_CALL

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "record.schema.json").read_text(encoding="utf-8")
)


def test_it_is_a_schema() -> None:
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


def test_every_close_reason_is_in_it() -> None:
    assert set(SCHEMA["$defs"]["connection"]["properties"]["close_reason"]["enum"]) == {None, *REASONS}


@pytest.mark.processes
@pytest.mark.parametrize("text", [MIXED, PER_CALL + "1/0"], ids=["mixed", "failed"])
def test_the_report_as_json_agrees_with_its_own(program: Program, text: str) -> None:
    schema = json.loads(
        (Path(__file__).resolve().parents[2] / "docs" / "report.schema.json").read_text("utf-8")
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    program.write(text).run("--quiet")
    report = json.loads(program.poolscope("view", "--json", str(program.saved)).stdout)
    jsonschema.Draft202012Validator(schema).validate(report)
    assert not jsonschema.Draft202012Validator(schema).is_valid({**report, "more": 1})
