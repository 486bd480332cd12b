"""Python's collector of cycles during runs: it leaves alone what was there before."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_PER_COLLECTION = 200_000
_depth = [0]


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Freeze what is alive, and collect seldom what is made from here on; within another such block, change nothing.

    Freezing costs nothing and thawing neither, where a collection would look at every object of the process.
    """
    _depth[0] += 1
    thresholds = gc.get_threshold()
    if _depth[0] == 1:
        gc.freeze()
        gc.set_threshold(_OBJECTS_PER_COLLECTION, *thresholds[1:])
    try:
        yield
    finally:
        _depth[0] -= 1
        if not _depth[0]:
            gc.set_threshold(*thresholds)
            gc.unfreeze()
