"""Which files are read, and one line for each that cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poolscope.gate.source import LARGEST
from poolscope.lint.files import UnreadableError, files, tree
from poolscope.recording.errors import UsageError

SICK = "import requests\nfor i in range(9):\n    requests.get(f'https://a.example/{i}')\n"


def test_python_files_of_folders_once_each_without_installed_packages(tmp_path: Path) -> None:
    own = ["a.py", "pkg/b.py"]
    others = [".hidden/c.py", "env/d.py", "node_modules/e.py", "lib/site-packages/f.py", "notes.txt"]
    for name in own + others:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    found = files([str(tmp_path), str(tmp_path / "a.py")], [])
    assert [os.path.relpath(path, tmp_path) for path in found] == own
    asked_for = tmp_path / ".hidden"
    assert files([str(asked_for), str(tmp_path / "notes.txt")], []) == [
        str(asked_for / "c.py"), str(tmp_path / "notes.txt")
    ]  # fmt: skip


def test_a_path_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match=r"can't read 'nowhere\.py': No such file"):
        files(["nowhere.py"], [])


BROKEN = {
    "a syntax error": (b"import requests\ndef f(:\n", "bad.py:2: is not Python 3"),
    "a null byte": (b"import requests\0", "bad.py"),
    "no text": (b"import requests # \xff\xfe", "bad.py"),
    "an unknown encoding": (b"# coding: nonsense\nimport requests", "nonsense"),
    "too deep": (b"import requests\n" + b"(" * 5_000, "bad.py"),
    "too large": (b"import requests\n" + b"#" * LARGEST, "is larger than 4 MB"),
}


@pytest.mark.parametrize(("content", "said"), BROKEN.values(), ids=BROKEN)
def test_an_unreadable_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.py"
    path.write_bytes(content)
    with pytest.raises(UnreadableError) as error:
        tree(str(path))
    assert said in str(error.value)
    assert "bad.py" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(UnreadableError, match=r"pipe\.py: is not a regular file"):
        tree(str(tmp_path / "pipe.py"))


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    with pytest.raises(UnreadableError, match=r"can't read '.*gone\.py': No such file"):
        tree(files([str(tmp_path)], [])[0])


def test_a_file_that_names_no_library_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("def f(:\n")
    assert tree(str(tmp_path / "other.py")) is None


def test_warnings_of_python_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(SICK + "'\\d'\n")
    assert tree(str(tmp_path / "old.py")) is not None


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is longer than the system takes, which holds for root as well."""
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("n" * 250)
        os.chdir("n" * 250)
    unread: list[str] = []
    assert files([str(tmp_path)], unread) == []
    (sentence,) = unread
    assert sentence.startswith(f"can't read '{tmp_path}/nnn")
    assert sentence.endswith("File name too long")
