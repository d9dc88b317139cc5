from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import binaries
from stack.ports import Ports
from stack.programs import COMPONENTS, Stack
from tests.stack.asking import Ran


@pytest.fixture(scope="session")
def component() -> Callable[[str], Path]:
    """The path of a component's program; if it is missing, MissingError says how to build it."""
    return lambda name: binaries.need(name, may_build=False)


@pytest.fixture(scope="session")
def ran(component: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Both services have run under load and ended, all their data is delivered, and the components are still up."""
    for name in COMPONENTS:
        component(name)
    with Stack(tmp_path_factory.mktemp("stack"), Ports.any(), may_build=False) as stack:
        yield Ran(stack)
