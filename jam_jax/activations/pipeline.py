"""Work done ahead of its use, in threads, in order and bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(make: Callable[[Given], Made], given: Iterable[Given], *, threads: int, depth: int) -> Iterator[Made]:
    """Yields ``make(x)`` for every x in order, at most ``depth`` of them made or being made before they are asked for.

    What ``make`` raises is raised where its result would have been yielded; nothing more is started then.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for x in given:
                waiting.append(pool.submit(make, x))
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


__all__ = ["ahead"]
