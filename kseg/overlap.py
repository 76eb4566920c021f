"""Work in a thread beside the caller's own: items that are made ahead of their use, and results finished behind it.

Both keep the order, hold few items at a time, and raise an error where it belongs in that order. They gain where the
work waits, or runs in code that lets other threads run (decoders, compressors, numpy, TensorFlow).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Iterable[Item], *, count: int = 1) -> Generator[Item, None, None]:
    """The items, of which the next `count` are made in a thread while the caller uses one.

    An error of the iterable is raised in the place of the item that could not be made.
    """
    source, end = iter(items), object()
    with _thread(source) as submit:
        coming = deque(submit(next, source, end) for _ in range(count))
        while True:
            item: Any = coming.popleft().result()
            if item is end:
                return
            coming.append(submit(next, source, end))
            yield item
            del item  # else it would be held while the next one is waited for


def behind(work: Callable[[Item], Result], items: Iterable[Item], *, count: int = 1) -> Generator[Result, None, None]:
    """`work(item)` of each item, computed in a thread while the caller's thread makes the next items.

    The caller makes no more than `count` items before the first of them is worked off. If the iterable raises an error,
    what came before is finished first. An error of `work` is raised in its place, and no later item is worked on.
    """
    source, failure, is_broken = iter(items), None, False

    def worked(item: Item) -> Result:
        nonlocal is_broken
        if is_broken:  # the caller has not seen the error yet
            raise CancelledError
        try:
            return work(item)
        except BaseException:
            is_broken = True
            raise

    with _thread(source) as submit:
        waiting: deque[Future[Result]] = deque()
        while True:
            try:
                waiting.append(submit(worked, next(source)))
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            while len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if failure is not None:
            raise failure


@contextmanager
def _thread(source: Any) -> Iterator[Callable[..., Future[Any]]]:
    """Gives a function that has calls carried out one after another in a thread.

    At the end what has not begun is left out, what has begun is waited for, and `source`, if a generator, is closed.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="kseg")
    try:
        yield pool.submit
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if hasattr(source, "close"):
            source.close()
