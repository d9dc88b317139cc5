"""What ``--help`` says, what the pages say, and what the commands do: three times the same."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from poolscope.cli.commands import commands
from poolscope.recording.options import GATE_OPTIONS, OPTIONS
from tests.cli.conftest import Program

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"\bpoolscope (\w+)((?: +[^\s`|#]+)*)")
OPTION = re.compile(r"(?<![\w-])--(?!poolscope)[a-z][a-z-]+")


def options_of(command: str) -> set[str]:
    return {name for option in commands.commands[command].params for name in option.opts} | {"-h", "--help"}


def help_of(command: str) -> str:
    text = commands.commands[command].get_help(click.Context(commands.commands[command], info_name=command))
    return " ".join(text.split())


def written() -> Iterator[tuple[str, str, str]]:
    """Every command line on the pages: page, command, option."""
    for page in PAGES:
        for command, words in COMMAND.findall(page.read_text("utf-8")):
            if command in commands.commands:
                before = words.split(" -- ")[0]
                yield from ((page.name, command, option) for option in OPTION.findall(before))


def test_no_page_uses_an_option_that_is_not_there() -> None:
    found = list(written())
    assert len(found) > 20
    programs_own = {"--its", "--own"}  # README's poolscope run … script.py --its --own arguments
    assert [use for use in found if use[2] not in options_of(use[1]) | programs_own] == []


def test_every_option_is_on_a_page() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in PAGES)
    by_help_alone = {
        "--timeout",
        "--list",
        "--delay",
        "--requests",
    }  # of the demo, and of queries to Prometheus
    missing = {
        (command, *option.opts)
        for command, described in commands.commands.items()
        for option in described.params
        if isinstance(option, click.Option) and not by_help_alone & set(option.opts)
        if not any(re.search(rf"(?<![\w-]){name}(?![\w-])", pages) for name in option.opts)
    }
    assert missing == set()


def test_the_table_of_run_is_that_of_its_help() -> None:
    table = (ROOT / "docs" / "run.md").read_text("utf-8").partition("| option | |")[2].partition("\n\n")[0]
    assert set(OPTION.findall("\n".join(line.split(" | ")[0] for line in table.splitlines()))) == {
        name for option in OPTIONS for name in option.names if name.startswith("--")
    } - {"--follow", "--output"}


def test_every_gate_has_the_same_options() -> None:
    gate = {name for option in GATE_OPTIONS for name in option.names}
    for command in ("run", "view", "lint"):
        assert gate <= options_of(command)


def test_lint_names_the_clients_it_knows() -> None:
    from poolscope.lint.libraries import CLIENTS

    for client in CLIENTS.values():
        library, _, name = client.rpartition(".")
        assert name in help_of("lint")
        assert library.removesuffix("2") in help_of("lint")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "hinted.py").write_text(
        "import requests\n\ndef all_of(items):\n    for item in items:\n"
        "        print(requests.get(f'http://shop.test/{item}').text)\n",
        encoding="utf-8",
    )
    (tmp_path / "broken.py").write_text("import requests\ndef f(:\n", encoding="utf-8")
    (tmp_path / "broken_too.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "other.py").write_text((tmp_path / "hinted.py").read_text("utf-8"), "utf-8")
    return tmp_path


LINT = {
    "a hint alone": (["hinted.py"], 0),
    "--fail-on PS101": (["--fail-on", "PS101", "hinted.py"], 4),
    "--fail-on any": (["--fail-on", "any", "hinted.py"], 4),
    "--fail-on warning": (["--fail-on", "warning", "hinted.py"], 0),
    "another code": (["--fail-on", "PS103", "hinted.py"], 0),
    "a file that cannot be read": (["broken.py"], 1),
    "a file that is not parsed": (["broken_too.py"], 0),
    "a path that does not exist": (["nowhere.py"], 2),
    "an option that cannot be read": (["--fail-on", "PS999", "hinted.py"], 2),
    "a folder with a dot first": (["--fail-on", "any", "."], 1),
}


@pytest.mark.processes
@pytest.mark.parametrize("claim", LINT)
def test_lint_ends_as_its_help_says(program: Program, sources: Path, claim: str) -> None:
    words, status = LINT[claim]
    assert program.poolscope("lint", *words).returncode == status


@pytest.mark.processes
def test_lint_skips_what_its_help_says(program: Program, sources: Path) -> None:
    shown = program.poolscope("lint", ".").stdout
    assert "1 hint in 3 files" in shown
    assert ".hidden" not in shown


@pytest.mark.processes
def test_run_ends_as_its_help_says(program: Program) -> None:
    sick = "import requests\nfor _ in range(5): requests.get('{url}')\n"

    def status(text: str, *options: str) -> int:
        run: subprocess.CompletedProcess[str] = program.write(text).run("--fail-on", "PS101", *options)
        return run.returncode

    assert status(sick) == 4
    assert status(sick + "raise SystemExit(3)") == 3
    assert status("print()") == 0
    assert status("print()", "--ignore", "PS999") == 2
    assert status("print()", "-o", "nowhere/report") == 2


@pytest.mark.processes
def test_quiet_is_about_stderr(program: Program) -> None:
    program.write("import requests\nrequests.get('{url}')\n")
    run = program.run("--quiet", "-o", "report.txt")
    assert run.stderr == ""
    assert (program.directory / "report.txt").read_text("utf-8").startswith("poolscope  1 request")
    needs = program.run("--json")
    assert (needs.returncode, "add -o FILE" in needs.stderr) == (2, True)


@pytest.mark.processes
def test_view_ends_as_its_help_says(program: Program) -> None:
    program.write("import requests\nfor _ in range(5): requests.get('{url}')\n").run()
    saved = str(program.saved)
    (program.directory / "other.txt").write_text("not ours\n", encoding="utf-8")
    assert program.poolscope("view", saved, "--fail-on", "PS101").returncode == 4
    assert program.poolscope("view", "other.txt").returncode == 1
    assert program.poolscope("view", "nowhere").returncode == 2
    assert program.poolscope("view", saved, "-o", "nowhere/report").returncode == 2
    assert program.poolscope("view", saved, "--fail-on", "PS999").returncode == 2
    folder = program.poolscope("view", ".")
    assert (folder.returncode, "5 requests" in folder.stdout) == (0, True)
