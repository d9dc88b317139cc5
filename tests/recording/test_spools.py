"""Where children write: in the folder that `tempfile` would choose, without loading it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from poolscope.recording.spools import place_for


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TMPDIR": "{here}"},
        {"TMPDIR": "", "TEMP": "{here}"},
        {"TMP": "{here}"},
        {"TMPDIR": "below"},
        {"TMPDIR": "{here}/missing"},
        {"TMPDIR": "{here}/file"},
        {"TMPDIR": "/proc"},
    ],
    ids=str,
)
def test_the_folder_is_the_same_as_tempfiles(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(here=tmp_path))
    before = set(os.listdir(tmp_path))
    place = place_for(None)
    assert os.path.dirname(os.path.dirname(place)) == tempfile.gettempdir()
    assert set(os.listdir(tmp_path)) == before
