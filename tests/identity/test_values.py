"""Settings are compared without keeping them or calling the host's code; unknown settings never count as equal."""

from __future__ import annotations

import functools
import gc
import ssl
import threading
from typing import Any

import pytest

from poolscope import identity
from poolscope.identity import LIMIT, Identity, values


def number_of_settings(*parts: Any) -> int | None:
    one = Identity()
    one.is_set_up("part", *parts)
    return one.number


class Auth:
    session: Auth

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Masked(str):
    """Its repr shows nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Slotted:
    __slots__ = ("token",)


class PartlySlotted(Slotted):
    def __init__(self, token: str) -> None:
        self.token = token
        self.name = "the same"


class Hostile:
    """Raises whenever anything is asked of it."""

    def __init__(self) -> None:
        object.__setattr__(self, "secret", 1)

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        raise RuntimeError("hash")

    def __repr__(self) -> str:
        raise RuntimeError("repr")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_numbers", {})
    monkeypatch.setattr(values, "_serials", {})


def knotted(token: str) -> Auth:
    auth = Auth(token=token)
    auth.session = Auth(auth=auth)
    return auth


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("a", "a", b"a"),
        (1, 1, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}),
        (Auth(token="1"), Auth(token="1"), Auth(token="2")),
        (Masked("one"), Masked("one"), Masked("two")),
        (knotted("1"), knotted("1"), knotted("2")),
    ],
)
def test_values_count(one: Any, same: Any, other: Any) -> None:
    assert number_of_settings(one) == number_of_settings(same) != number_of_settings(other)


def test_no_method_of_the_hosts_classes_is_called() -> None:
    assert number_of_settings(Hostile()) == number_of_settings(Hostile())


@pytest.mark.parametrize(
    "make",
    [
        ssl.create_default_context,
        object,
        lambda: lambda: None,
        lambda: functools.partial(print, "x"),
        lambda: PartlySlotted("the token is not among its attributes"),
        lambda: list(range(1_000)),
    ],
)
def test_an_object_without_a_value_is_equal_only_to_itself(make: Any) -> None:
    one, other = make(), make()
    if type(one) not in (object, list):  # these cannot be remembered
        assert number_of_settings(one) == number_of_settings(one)
    assert number_of_settings(one) != number_of_settings(other)


def test_a_reused_address_is_another_object() -> None:
    numbers, addresses = set(), set()
    for _ in range(20):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        addresses.add(id(context))
        numbers.add(number_of_settings(context))
        del context
        gc.collect()
    assert len(addresses) < 20, "this test shows something only where memory is used again"
    assert len(numbers) == 20


def test_a_large_object_is_not_searched() -> None:
    number_of_settings(Auth(cache={key: [key] * 10 for key in range(199)}))
    assert len(values._serials) <= 1


def test_the_oldest_are_forgotten() -> None:
    first = number_of_settings("first")
    numbers = {number_of_settings(number) for number in range(LIMIT)}
    assert len(numbers | {first, number_of_settings("first")}) == LIMIT + 2
    assert len(identity._numbers) == LIMIT


def test_threads_never_give_the_same_number_twice() -> None:
    given: list[int | None] = []
    threads = [
        threading.Thread(target=lambda part=part: given.append(number_of_settings(part)))
        for part in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(given)) == 50
