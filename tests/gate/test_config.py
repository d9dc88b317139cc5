"""``[tool.poolscope]`` of pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolscope.gate.config import config_for
from poolscope.recording.errors import UsageError


def test_the_nearest_pyproject_counts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.poolscope]\nbaseline = "ci/known.json"\nignore = ["PS106", "PS101:scripts/*.py"]\n'
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = config_for(str(below))
    assert settings.root == str(tmp_path)
    assert settings.baseline == str(tmp_path / "ci/known.json")
    assert [(ignore.code, ignore.where) for ignore in settings.ignores] == [
        ("PS106", None),
        ("PS101", "scripts/*.py"),
    ]


def test_a_project_without_a_table_ignores_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    settings = config_for(str(tmp_path))
    assert (settings.root, settings.ignores, settings.baseline) == (str(tmp_path), (), None)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[tool.poolscope\n", "is not TOML"),
        ("tool = 3\n", None),
        ("[tool]\npoolscope = 3\n", "is a table"),
        ("[tool.poolscope]\nignores = []\n", "no setting 'ignores'"),
        ("[tool.poolscope]\nignore = 'PS101'\n", "ignore is a list"),
        ("[tool.poolscope]\nignore = ['PS101', 3]\n", r"ignore\[1\] is a text"),
        ("[tool.poolscope]\nignore = ['PS101', 'PS9']\n", r"ignore\[1\]: no finding has the code 'PS9'"),
        ("[tool.poolscope]\nbaseline = ['a']\n", "baseline is a file name"),
    ],
)
def test_a_broken_table_is_one_error_that_names_the_file(
    tmp_path: Path, table: str, says: str | None
) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(table)
    if says is None:
        assert not config_for(str(tmp_path)).ignores
        return
    with pytest.raises(UsageError, match=says) as error:
        config_for(str(tmp_path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
