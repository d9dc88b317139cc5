from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import binaries
from stack.ports import Ports
from stack.programs import COMPONENTS, Stack
from tests.stack.asking import Ran


@pytest.fixture(scope="session")
def component() -> Callable[[str], Path]:
    """The path of a component's program; MissingError, which says how to build it, where it is missing."""
    return lambda name: binaries.need(name, may_build=False)


@pytest.fixture(scope="session")
def ran(component: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Both services under load, ended, and all they sent delivered; the components stay to be asked."""
    for name in COMPONENTS:
        component(name)
    with Stack(tmp_path_factory.mktemp("stack"), Ports.any(), may_build=False) as stack:
        yield Ran(stack)
