"""A file belongs to one process at a time, however close together several processes ask for it."""

from __future__ import annotations

import os

from poolscope.recording import own_file


def test_a_file_that_another_process_locks_first_belongs_to_that_process(tmp_path, monkeypatch) -> None:
    """Two processes once wrote one file: one created it, the other locked it, and each thought that it owned it."""
    path = tmp_path / "saved.jsonl"
    rivals: list[own_file.OwnFile] = []
    lock = own_file._lock

    def locked_late(descriptor: int) -> bool | None:
        if not rivals:
            rivals.append(own_file.OwnFile(str(path), os.open(path, os.O_WRONLY | os.O_APPEND)))
            with rivals[0]._borrowed() as theirs:
                assert lock(theirs)
        return lock(descriptor)

    monkeypatch.setattr(own_file, "_lock", locked_late)
    ours = own_file.claim(str(path))
    assert ours.path == str(tmp_path / "saved.2.jsonl")
    ours.release()
    rivals[0].release()
