"""The user's line is found behind libraries, SDKs and the standard library."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from poolscope.libraries import callsite

SITE_PACKAGES = sysconfig.get_paths()["purelib"]


def frames(*files: str) -> Callable[[], Any]:
    """Functions that call each other, the last of them `callsite.find`, as if they were in ``files``."""

    def call():
        return callsite.find(sys._getframe(1))

    for number, file in enumerate(reversed(files)):
        code = compile(f"def level_{number}():\n    return call()", file, "exec")
        space = {"call": call}
        exec(code, space)
        call = space[f"level_{number}"]
    return call


def test_the_first_line_outside_packages_is_the_users():
    site = frames("/app/service.py", f"{SITE_PACKAGES}/httpx/_api.py", f"{SITE_PACKAGES}/httpx/_client.py")()
    assert site.user[0].co_filename == "/app/service.py"
    assert site.user[1] == 2
    assert site.sdk is None
    assert site.entry.co_filename.endswith("httpx/_api.py")


def test_an_sdk_between_is_named_as_well():
    site = frames(
        "/app/service.py", f"{SITE_PACKAGES}/somesdk/api.py", f"{SITE_PACKAGES}/requests/sessions.py"
    )()
    assert site.user[0].co_filename == "/app/service.py"
    assert site.sdk[0].co_filename.endswith("somesdk/api.py")


def test_a_call_that_a_thread_pool_makes_has_no_line_of_the_users():
    call = frames(f"{SITE_PACKAGES}/requests/api.py")
    with ThreadPoolExecutor(1) as threads:
        site: Any = threads.submit(call).result()
    assert site.user is None
    assert site.sdk is None
    assert site.entry.co_filename.endswith("requests/api.py")


def test_the_wrapper_of_another_tool_is_not_the_users_line():
    site = frames(
        f"{SITE_PACKAGES}/somesdk/api.py",
        f"{SITE_PACKAGES}/newrelic/hooks.py",
        f"{SITE_PACKAGES}/requests/api.py",
    )()
    assert site.sdk[0].co_filename.endswith("somesdk/api.py")


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/app/requests_client.py", callsite.USER),
        ("/app/requests/mine.py", callsite.USER),
        (f"{SITE_PACKAGES}/requests/api.py", callsite.LIBRARY),
        (f"{SITE_PACKAGES}/requests_toolbelt/x.py", callsite.PACKAGE),
        ("/usr/lib/python3/dist-packages/urllib3/pool.py", callsite.LIBRARY),
        (f"{sysconfig.get_paths()['stdlib']}/json/decoder.py", callsite.STANDARD),
        ("<string>", callsite.USER),
        ("<frozen importlib._bootstrap>", callsite.STANDARD),
        (f"{SITE_PACKAGES}/wrapt/wrappers.py", callsite.STANDARD),
        (callsite.__file__, callsite.LIBRARY),
    ],
)
def test_where_a_file_belongs(file, kind):
    assert callsite.kind_of(file) == kind


def built_within(*calls: str):
    """The line that builds an object through ``calls``, each of which is a class's name or an expression."""
    site = {}

    class Built:
        def __init__(self):
            site["found"] = callsite.of_construction(sys._getframe(0), self)

    space = {"Built": Built}
    code = "\n".join(calls)
    exec(compile(code, "/app/program.py", "exec"), space)
    return site["found"]


def test_the_line_that_builds_the_users_object_is_outside_its_init():
    site = built_within(
        "class Api:", "    def __init__(self):", "        self.client = Built()", "def handler():", "    Api()", "handler()"
    )  # fmt: skip
    assert (site.user[1], site.user[0].co_name) == (5, "handler")
    assert (site.sdk[1], site.sdk[0].co_name) == (3, "__init__")


def test_the_outermost_of_several_counts():
    site = built_within(
        "class Inner:", "    def __init__(self):", "        self.client = Built()",
        "class Outer:", "    def __init__(self):", "        self.inner = Inner()", "api = Outer()",
    )  # fmt: skip
    assert (site.user[1], site.sdk[1]) == (7, 3)


def test_code_generated_by_dataclasses_is_not_the_users_line():
    site = built_within(
        "from dataclasses import dataclass, field", "@dataclass", "class Api:",
        "    client: object = field(default_factory=Built)", "api = Api()",
    )  # fmt: skip
    assert site.user[1] == 5
    assert site.sdk is None


def test_a_subclass_is_no_object_that_holds_it():
    site = built_within(
        "class Mine(Built):", "    def __init__(self):", "        super().__init__()", "def handler():", "    Mine()", "handler()"
    )  # fmt: skip
    assert (site.user[1], site.sdk) == (5, None)
