"""What the reader accepts of a record."""

from __future__ import annotations

import pytest

from poolscope.recording.validation import _FIELDS, _refuse


@pytest.mark.parametrize("kind", _FIELDS, ids=lambda kind: kind.__name__)
def test_each_saved_field_has_a_check(kind: type) -> None:
    assert [name for name, _, check in _FIELDS[kind] if check is _refuse] == []
