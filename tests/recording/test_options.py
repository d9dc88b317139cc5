"""The messages about a wrong value of the variable POOLSCOPE."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolscope.recording.errors import UsageError
from poolscope.recording.gate import RunGate
from poolscope.recording.options import OPTIONS, parse, parse_variable
from poolscope.recording.outputs import Outputs

SECRET = "sesame"
WRONG = (
    "{option} https://me:sesame@collector",
    "{option}=https://me:sesame@collector",
    "{option}https://me:sesame@collector",
    "{option} 'https://collector/?api_key=sesame'",
    "'{option} https://me:sesame@collector'",
    "{option} --otlp=https://me:sesame@collector",
    "{option} --otlp https://me:sesame@collector",
    "{option}=--otlp=https://me:sesame@collector",
    "{option} --otlphttps://me:sesame@collector",
    "{option} PS101:https://me:sesame@",
)


def said(variable: str) -> str:
    """What the start of a recording says, if it refuses."""
    try:
        options = parse_variable(variable)
        RunGate(options)
        Outputs(options, by_hand=False).complete(nothing=True)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", [name for option in OPTIONS for name in option.names])
def test_no_message_repeats_a_secret(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    messages = {each: said(each.format(option=name)) for each in WRONG}
    assert [each for each, message in messages.items() if SECRET in message] == []
    assert any(messages.values()), "else nothing was wrong"


def test_no_message_repeats_a_token_before_a_host() -> None:
    assert "credentials belong in" in said("--otlp sesame@collector:port")
    assert SECRET not in said("--otlp sesame@collector:port")


@pytest.mark.parametrize("words", [["--every", "--quiet", "x.py"], ["--save", "--", "x.py"]])
def test_the_next_option_is_not_a_value(words: list[str]) -> None:
    with pytest.raises(UsageError, match=f"^{words[0]} needs a value"):
        parse(words)


def test_code_and_attached_values_may_begin_like_an_option() -> None:
    options = parse(["--save=--x", "-c", "--1"])
    assert options is not None
    assert (Path(options.save or "").name, options.code) == ("--x", "--1")


def test_a_command_line_shows_the_wrong_value() -> None:
    with pytest.raises(UsageError, match="not 'soon'"):
        parse(["--every", "soon", "x.py"])
    assert "soon" not in said("--every soon")


@pytest.mark.parametrize("other", ["--save", "-o"])
def test_a_baseline_does_not_replace_what_the_run_wrote(other: str) -> None:
    for baseline in ("x", "./x"):
        with pytest.raises(UsageError, match=f"--write-baseline .* would replace what {other} writes"):
            parse([other, "x", "--write-baseline", baseline, "program.py"])
