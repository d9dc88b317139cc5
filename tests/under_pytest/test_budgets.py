"""Budgets of a test: a marker for the whole test, a fixture for a part of it."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from tests.under_pytest.conftest import Project

pytestmark = pytest.mark.processes

BUDGETS = """
import pytest
import requests
from shop import URL, total


@pytest.mark.poolscope_budget(max_connections=1, min_reuse=0.8, max_cost=0.000001)
def test_over():
    assert total(range(5))


@pytest.mark.poolscope_budget(max_connections=1, min_reuse=0.8, max_cost=60)
def test_within():
    with requests.Session() as session:
        for _ in range(5):
            session.get(URL)


def test_part(poolscope_budget):
    total(range(3))
    with poolscope_budget(max_connections=2):
        total(range(4))


@pytest.mark.poolscope_budget(max_connections=0)
def test_that_fails_by_itself():
    total(range(2))
    assert False, "for a reason of its own"


@pytest.fixture
def ready():
    total(range(3))


@pytest.mark.poolscope_budget(max_connections=0)
def test_what_a_fixture_does_is_not_the_tests(ready):
    pass
"""


def test_a_budget_fails_its_test_with_the_lines_and_whole_lanes(project: Project) -> None:
    outcome = project.write("test_budgets.py", BUDGETS).pytest()
    assert outcome.status == 1
    assert outcome.counts == {"failed": 3, "passed": 2}
    assert "over the budget of test_budgets.py:7 in test_over\n" in outcome.output
    assert "5 connections opened, at most 1 allowed: shop.py:9 in Shop.price opened 5\n" in outcome.output
    assert "0 % of 5 requests reused a connection, at least 80 % wanted\n" in outcome.output
    assert "of building, setup and closing, at most 1 µs allowed\n" in outcome.output
    assert "4 connections opened, at most 2 allowed: shop.py:9 in Shop.price opened 4\n" in outcome.output
    assert outcome.output.count("✕ client close") >= 2, "the lanes are there to their end"
    assert "contextlib.py" not in outcome.output
    assert "for a reason of its own" in outcome.output
    assert "test_that_fails_by_itself\n0 conn" not in outcome.output
    assert not outcome.section, "nobody asked for the session's findings"


def test_an_invalid_budget_is_an_error_with_its_place(project: Project) -> None:
    text = "import pytest\n\n@pytest.mark.poolscope_budget(max_connections='one')\ndef test_x():\n    pass\n"
    outcome = project.write("test_x.py", text).pytest()
    assert outcome.status == 4
    says = "test_x.py:3: poolscope_budget of test_x: max_connections must be a whole number, at least 0, not 'one'"
    assert says in outcome.errors + outcome.output
    assert "Traceback" not in outcome.errors + outcome.output


def test_a_budget_says_what_cannot_be_watched(project: Project) -> None:
    text = """
import pycurl, pytest

@pytest.mark.poolscope_budget(max_connections=1)
def test_curl():
    pass
"""
    outcome = project.write("pycurl.py", "").write("test_x.py", text).pytest()
    assert outcome.status == 1, outcome
    assert "pycurl: imported here, but not observed by poolscope" in outcome.output


def test_a_version_that_does_not_fit_is_named(project: Project) -> None:
    text = """
import pytest, urllib3
del urllib3.connectionpool.HTTPConnectionPool._put_conn

@pytest.mark.poolscope_budget(max_connections=1)
def test_nothing():
    pass
"""
    outcome = project.write("test_x.py", text).pytest("--poolscope")
    assert outcome.status == 1, outcome
    assert "urllib3 2." in outcome.output
    assert "is not a version that poolscope can watch" in outcome.output
    assert "not seen: urllib3 2." in outcome.section


UNASKED = """
import sys

def test_nothing_is_loaded():
    heavy = ("poolscope", "httpx", "httpcore", "requests", "urllib3", "rich", "click")
    assert [name for name in sys.modules if name.partition(".")[0] in heavy] == []
"""


def test_nothing_is_loaded_without_an_option(project: Project) -> None:
    outcome = project.write("test_x.py", UNASKED).pytest()
    assert (outcome.status, outcome.counts) == (0, {"passed": 1}), outcome


def test_pytest_finds_the_plugin_where_poolscope_is_installed() -> None:
    assert [entry.value for entry in entry_points(group="pytest11", name="poolscope")] == ["poolscope_pytest"]
