import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import binaries

MAY_BUILD = os.environ.get("POOLSCOPE_STACK") == "build"


@pytest.fixture(scope="session")
def program() -> Callable[[str], Path]:
    """The path of a component's program; skips, naming it, where it is missing and may not be built."""

    def find(name: str) -> Path:
        try:
            return binaries.need(name, may_build=MAY_BUILD)
        except binaries.MissingError as reason:
            if MAY_BUILD:
                raise
            pytest.skip(f"{reason}; POOLSCOPE_STACK=build builds it")

    return find
