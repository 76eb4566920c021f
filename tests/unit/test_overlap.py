"""Items made ahead, results finished behind: their order, their errors, and how many are alive at a time."""

import gc
import threading
import time
import weakref

import pytest

from kseg.overlap import ahead, behind


class Thing:
    """An item that can be counted while it lives."""

    def __init__(self, number, alive):
        self.number = number
        alive.add(self)


def test_items_and_results_keep_their_order():
    assert list(ahead(range(50), count=3)) == list(range(50)) and list(ahead([])) == []
    assert list(behind(lambda number: number**2, range(50))) == [number**2 for number in range(50)]
    assert list(behind(str, [])) == []


def test_the_next_item_is_made_while_one_is_used_and_a_result_while_the_next_item_is_made():
    made, worked = threading.Event(), threading.Event()

    def numbers():
        yield 0
        made.set()
        yield 1

    items = ahead(numbers())
    assert next(items) == 0 and made.wait(10)  # before the second is asked for
    assert list(items) == [1]

    def waiting():
        yield 0
        assert worked.wait(10)  # the first is worked on while the second is made
        yield 1

    assert list(behind(lambda number: worked.set() or number, waiting())) == [0, 1]


def test_few_items_are_alive_however_many_there_are():
    alive, most = weakref.WeakSet(), []
    for thing in ahead((Thing(number, alive) for number in range(200)), count=2):
        time.sleep(0.001)  # long enough for the thread to make as many as it may
        most.append(len(alive))
        del thing
    assert max(most) <= 4  # one in use, two that wait, one that is made

    def slow(thing):
        time.sleep(0.001)
        most.append(len(alive))
        return thing.number

    most.clear()
    assert sum(behind(slow, (Thing(number, alive) for number in range(200)))) == 199 * 100
    assert max(most) <= 3
    gc.collect()
    assert not alive


def test_an_error_of_an_item_comes_after_the_items_before_it():
    def numbers():
        yield from (0, 1, 2)
        raise KeyError("three")

    for items in (ahead(numbers(), count=2), behind(lambda number: number, numbers(), count=2)):
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(KeyError, match="three"):
            next(items)


def test_an_error_of_the_work_ends_it_and_nothing_later_is_worked_on():
    worked = []

    def work(number):
        worked.append(number)
        if number == 2:
            raise ValueError("two")

    for count in (1, 5):
        worked.clear()
        results = behind(work, range(100), count=count)
        assert [next(results), next(results)] == [None, None]
        time.sleep(0.02)  # time enough to begin with what waits
        with pytest.raises(ValueError, match="two"):
            next(results)
        assert worked == [0, 1, 2]


def test_a_break_stops_the_thread_and_closes_the_items():
    closed = []

    def numbers():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    before = threading.active_count()
    for items in (ahead(numbers(), count=3), behind(lambda number: number, numbers())):
        assert next(items) == 0
        items.close()
    assert closed == [True, True] and threading.active_count() == before


def test_an_interruption_of_the_caller_leaves_out_what_has_not_begun():
    begun, worked = threading.Event(), []

    def numbers():
        yield from (0, 1)
        assert begun.wait(10)
        raise KeyboardInterrupt

    def work(number):
        begun.set()
        time.sleep(0.1)
        worked.append(number)

    with pytest.raises(KeyboardInterrupt):
        list(behind(work, numbers(), count=5))
    assert worked == [0]  # it had begun
