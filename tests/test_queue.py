"""The queue never blocks, never grows without bound, and loses nothing silently."""

from __future__ import annotations

import gc
import os
import threading
import warnings

import pytest

from poolscope import facts
from poolscope.facts import BEGUN, ENDED
from poolscope.queue import RELIEF_AT, RELIEF_BATCH, FactQueue


@pytest.fixture
def got():
    return []


@pytest.fixture
def queue(got):
    queue = FactQueue(capacity=2_000)
    queue.add_consumer(lambda moment, sheet: got.append((moment, sheet)))
    return queue


def sheet():
    return facts.Pool(0)


def test_facts_come_in_the_order_they_were_stated(queue, got):
    stated = [sheet() for _ in range(10)]
    for one in stated:
        queue.put(BEGUN, one)
    assert queue.drain()
    assert got == [(BEGUN, one) for one in stated]


def test_a_full_queue_drops_and_counts(queue, got):
    for _ in range(2_005):
        queue.put(BEGUN, sheet())
    assert (len(queue), queue.dropped) == (2_000, 5)
    assert repr(queue) == "<FactQueue 2000 waiting, 5 dropped, 1 consumers>"


def test_a_request_relieves_a_long_queue_by_a_few_facts(queue, got):
    for _ in range(RELIEF_AT - 1):
        queue.put(BEGUN, sheet())
    queue.relieve()
    assert got == []
    queue.put(BEGUN, sheet())
    queue.relieve()
    assert len(got) == RELIEF_BATCH


def test_requests_relieve_the_queue_however_many_facts_each_of_them_states(queue, got):
    for _ in range(100):
        queue.relieve()
        for _ in range(3 * RELIEF_BATCH):
            queue.put(BEGUN, sheet())
    assert len(queue) < RELIEF_AT + 3 * RELIEF_BATCH
    assert len(got) + len(queue) == 100 * 3 * RELIEF_BATCH


def test_facts_are_drained_before_they_are_old_to_the_garbage_collector():
    queue = FactQueue()
    queue.add_consumer(lambda moment, sheet: None)
    for number in range(3_000):
        queue.relieve()
        queue.put(ENDED, facts.Exchange(("http", "old", None), 0, float(number)))
        for _ in range(30):  # the cycles that a request of httpx leaves behind
            cycle: list[object] = []
            cycle.append(cycle)
    oldest = gc.get_objects(generation=2)
    old = [one for one in oldest if type(one) is facts.Exchange and one.origin[1] == "old"]
    assert len(old) < 100


def test_what_a_settle_has_drained_is_passed_on_once_by_a_later_request(queue, got):
    passed_on = []
    queue.after_relief = (lambda: passed_on.append(len(got)),)
    queue.relieve()  # the first request
    queue.put(BEGUN, sheet())
    assert queue.settle()
    for _ in range(3):
        queue.put(BEGUN, sheet())
        queue.relieve()
    assert passed_on == [1]


def test_nobody_waits_for_a_running_drain(queue, got):
    entered, leave = threading.Event(), threading.Event()
    queue.add_consumer(lambda moment, sheet: (entered.set(), leave.wait(10)))
    queue.put(BEGUN, sheet())
    drainer = threading.Thread(target=queue.drain)
    drainer.start()
    assert entered.wait(10)

    assert queue.drain() is False
    assert queue.settle(timeout=0.01) is False

    leave.set()
    drainer.join(10)
    assert queue.settle() is True


def test_a_signal_handler_in_the_middle_of_a_drain_does_not_wait_for_it(queue, got):
    settled = []
    queue.add_consumer(lambda moment, sheet: settled.append(queue.settle(timeout=60)))
    queue.put(BEGUN, sheet())
    assert queue.settle()
    assert settled == [False]
    assert len(got) == 1


def test_a_consumer_that_states_facts_itself_does_not_keep_the_drain(queue, got):
    queue.add_consumer(lambda moment, sheet: queue.put(moment, sheet))
    queue.put(BEGUN, sheet())
    assert queue.drain()
    assert len(queue) == 1


def test_a_consumer_that_raises_is_counted_and_the_others_go_on(queue, got):
    def broken(moment, sheet):
        raise ZeroDivisionError

    queue.remove_consumer(queue.consumers[0])
    queue.add_consumer(broken)
    queue.add_consumer(lambda moment, sheet: got.append(sheet))
    queue.put(BEGUN, sheet())
    queue.drain()
    queue.drain()
    assert [type(one) for one in got] == [facts.Pool, facts.HookFailure]
    assert got[1].error == "ZeroDivisionError"


def test_the_first_consumer_starts_with_an_empty_queue(got):
    queue = FactQueue()
    queue.put(BEGUN, sheet())
    queue.add_consumer(lambda moment, sheet: got.append(sheet))
    queue.drain()
    assert got == []


def test_a_child_forgets_the_parents_facts_and_its_locks(queue, got):
    queue.put(BEGUN, sheet())
    queue._lock.acquire()  # another thread of the parent was draining

    epochs = []
    queue.at_fork = (lambda: epochs.append(queue.epoch),)
    queue.after_fork()

    assert (len(queue), queue.epoch, epochs) == (0, 1, [1])
    assert queue.settle(timeout=0.1)


def test_a_real_fork_takes_that_path():
    from poolscope.queue import FACTS

    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is multi-threaded")  # pytest-xdist has a thread of its own
        child = os.fork()
    if not child:
        os.write(writer, str(FACTS.epoch).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 10)) == FACTS.epoch + 1
    os.close(reader)
    os.close(writer)
