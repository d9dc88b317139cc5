"""From files to findings: equal to a run's in everything that can be known without running."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolscope.findings.fingerprint import Fingerprint
from poolscope.lint.findings import lint
from tests.lint.test_files import SICK


def test_a_hint_equals_the_finding_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SICK)
    found = lint([str(tmp_path)], str(tmp_path))
    (hint,) = found.findings
    assert Fingerprint.of(hint, str(tmp_path)) == ("PS101", "shop.py", "<module>", "requests.get")
    assert (hint.severity, hint.cost, hint.saving, hint.origin) == ("info", None, None, None)
    assert (found.files, found.unread) == (1, [])


def test_tests_are_known_by_their_path_from_the_root(tmp_path: Path) -> None:
    for name in ("tests/shop.py", "pkg/test_shop.py", "conftest.py", "contest.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SICK)
    hinted = [
        Path(hint.call_site.file).name
        for hint in lint([str(tmp_path)], str(tmp_path)).findings
        if hint.call_site
    ]
    assert hinted == ["contest.py"]


def test_one_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import requests\ndef f(:\n")
    (tmp_path / "shop.py").write_text(SICK)
    found = lint([str(tmp_path)], str(tmp_path))
    assert (len(found.findings), len(found.unread)) == (1, 1)


def test_a_long_sum_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    (tmp_path / "sum.py").write_text(SICK + f"requests.get({' + '.join(['x'] * 900)})\n")
    assert len(lint([str(tmp_path)], str(tmp_path)).findings) == 1


@pytest.mark.load
def test_a_hundred_thousand_lines(tmp_path: Path) -> None:
    text = "".join(f"    value = read({number})\n" for number in range(100_000))
    (tmp_path / "long.py").write_text(f"def f(read):\n{text}{SICK}")
    assert len(lint([str(tmp_path)], str(tmp_path)).findings) == 1
