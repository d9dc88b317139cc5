"""``run --format`` and ``view --format``: the same recording in every format, whatever state the file is in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import Program
from tests.cli.recorded import over
from tests.cli.waiting import eventually
from tests.pictures.payload import facts_in

pytestmark = pytest.mark.processes

TEXT = "import requests\nfor _ in range(4):\n    requests.get('{url}?token=sesame')\n"
DOCS = Path(__file__).resolve().parents[2] / "docs"


def is_html(text: str) -> bool:
    return facts_in(text)["totals"]["requests"] == 4


def is_json(text: str) -> bool:
    schema = json.loads((DOCS / "report.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    return bool(json.loads(text)["totals"]["requests"] == 4)


def is_perfetto(text: str) -> bool:
    return sum(event["name"] == "GET 200" for event in json.loads(text)["traceEvents"]) == 4


def is_har(text: str) -> bool:
    return len(json.loads(text)["log"]["entries"]) == 4


def is_sarif(text: str) -> bool:
    (result,) = json.loads(text)["runs"][0]["results"]
    return bool(result["ruleId"] == "PS101" and "4 calls of requests.get()" in result["message"]["text"])


def is_github(text: str) -> bool:
    return text.startswith("::") and "title=PS101 client per request::4 calls of requests.get()" in text


READ: dict[str, Callable[[str], bool]] = {
    "text": lambda text: "4 requests" in text,
    "json": is_json,
    "html": is_html,
    "perfetto": is_perfetto,
    "har": is_har,
    "sarif": is_sarif,
    "github": is_github,
    "gitlab": lambda text: [entry["check_name"] for entry in json.loads(text)] == ["PS101"],
    "markdown": lambda text: text.startswith("### PS101 client per request\n\n```text\n"),
}
every_format = pytest.mark.parametrize("form", READ)
drawn = pytest.mark.parametrize("form", ["html", "perfetto", "har", "sarif"])


@every_format
def test_run_and_view_write_the_same(program: Program, form: str) -> None:
    out = program.directory / "out"
    run = program.write(TEXT).run("--format", form, "-o", str(out))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    written = out.read_text("utf-8")
    assert READ[form](written)
    assert "sesame" not in written
    viewed = program.poolscope("view", "--format", form, str(program.saved), env={"COLUMNS": "120"})
    assert (viewed.returncode, viewed.stderr) == (0, "")
    assert viewed.stdout == written
    again = program.directory / "again"
    done = program.poolscope(
        "view", "--format", form, str(program.saved), "-o", str(again), env={"COLUMNS": "120"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert again.read_text("utf-8") == written


@drawn
def test_without_save_the_recording_is_temporary(program: Program, form: str) -> None:
    out = program.directory / "out"
    temporary = program.directory / "temporary"
    temporary.mkdir()
    program.write(TEXT + "import os\nif os.fork() == 0:\n    os._exit(0)\nos.wait()\n")
    done = program.poolscope(
        "run", "--format", form, "-o", str(out), str(program.path), env={"TMPDIR": str(temporary)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert READ[form](out.read_text("utf-8"))
    assert list(temporary.iterdir()) == []
    assert not program.saved.exists()


@drawn
def test_a_failing_program_gets_its_picture(program: Program, form: str) -> None:
    out = program.directory / "out"
    done = program.write(TEXT + "1 / 0\n").run("--format", form, "-o", str(out))
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert READ[form](out.read_text("utf-8"))


def test_only_text_goes_to_stderr(program: Program) -> None:
    program.write(TEXT)
    for options in (("--json",), ("--format", "html"), ("--format=har",)):
        refused = program.run(*options)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "add -o FILE" in refused.stderr
    assert program.run("--json", "--quiet").returncode == 0
    refused = program.run("--format", "pdf", "-o", "x")
    assert (refused.returncode, "text, json, html, perfetto, har" in refused.stderr) == (2, True)


def test_stdout_on_request(program: Program) -> None:
    done = program.write(TEXT).run("--json", "-o", "-")
    assert done.stderr == ""
    assert is_json(done.stdout)
    done = program.run("--format", "har", "-o", "-")
    assert is_har(done.stdout)


def test_a_file_holds_one_page_meanwhile_and_at_the_end(program: Program) -> None:
    out = program.directory / "out.html"
    program.write(TEXT + "import time\nwhile not stop():\n    time.sleep(0.05)\n")
    code = f"import os\ndef stop():\n    return os.path.exists({str(out)!r}) and os.path.getsize({str(out)!r}) > 0\n"
    program.path.write_text(code + program.path.read_text("utf-8"), encoding="utf-8")
    done = program.run("--format", "html", "-o", str(out), "--every", "0.2")
    assert (done.returncode, done.stderr) == (0, "")
    page = out.read_text("utf-8")
    assert page.count("<!doctype html>") == 1
    assert is_html(page)


def test_a_file_still_being_written_is_shown(program: Program) -> None:
    program.write(TEXT + "print('ready', flush=True)\nimport time\ntime.sleep(60)\n")
    with program.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        eventually(lambda: over(program.saved) == 4)
        process.kill()
    for form, good in READ.items():
        done = program.poolscope("view", "--format", form, str(program.saved))
        assert done.returncode == 0, form
        assert "has no end" in done.stderr
        assert good(done.stdout), form


BAD = {
    "foreign": "this is\nnothing of ours\n",
    "not a header": '{"type":"summary"}\n',
    "not text": "\x00\xff\n",
    "empty": "",
    "a list": "[]\n",
}


@every_format
@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_input_that_is_not_a_recording_makes_no_file(program: Program, form: str, text: str) -> None:
    program.saved.write_text(text, encoding="utf-8")
    out = program.directory / "out"
    out.write_text("what was there before", encoding="utf-8")
    done = program.poolscope("view", "--format", form, "-o", str(out), str(program.saved))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert out.read_text("utf-8") == "what was there before"
    assert sorted(path.name for path in program.directory.iterdir()) == ["out", "saved.jsonl"]


@every_format
def test_the_readable_part_of_a_file_is_shown(program: Program, form: str) -> None:
    program.write(TEXT).run("--quiet")
    lines = program.saved.read_text("utf-8").splitlines()
    cut = len(lines) - 2
    program.saved.write_text("\n".join(lines[:cut]) + '\n{"type":"alien"}\n', encoding="utf-8")
    done = program.poolscope("view", "--format", form, str(program.saved))
    assert done.returncode == 1
    assert f"line {cut + 1} of" in done.stderr
    assert READ[form](done.stdout)


def test_a_place_that_cannot_be_written_is_one_line(program: Program) -> None:
    program.write(TEXT).run("--quiet")
    for place in ("/nowhere/at/all", str(program.directory)):
        done = program.poolscope("view", "--format", "html", "-o", place, str(program.saved))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert place in done.stderr
    beside = [program.directory, program.directory.parent]
    assert not [part for folder in beside for part in folder.glob("*.part")]
