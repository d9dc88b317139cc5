"""The requests in a saved file, where a request of more than a second has several records, each further on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any


def requests(path: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """The newest record of each, by process and number, without a line that is still being written."""
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    exchanges = [each for each in records if each["type"] == "exchange"]
    ended = Counter((each["pid"], each["id"]) for each in exchanges if each.get("state") is None)
    assert not ended or max(ended.values()) == 1, "a request is over once"
    return {(each["pid"], each["id"]): each for each in exchanges}


def over(path: Path) -> int:
    """How many of them are over."""
    return sum(each.get("state") is None for each in requests(path).values())
