import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import binaries
from stack.programs import Ports, Stack
from tests.stack.asking import Ran

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


@pytest.fixture(scope="session")
def ran(program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Both services under load, ended, and all they sent delivered; the components stay to be asked."""
    for name in ("otelcol", "jaeger", "prometheus"):
        program(name)
    with Stack(tmp_path_factory.mktemp("stack"), Ports.any(), may_build=False) as stack:
        yield Ran(stack)
