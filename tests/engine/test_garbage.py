"""The collector during runs: what was there is left alone, and afterwards all is as it was."""

import gc

import pytest

from backtester.engine.garbage import rarely_collected


class _Ring:
    """Refers to itself, so that only the collector finds it."""

    def __init__(self) -> None:
        self.itself = self


def _is_looked_at(ring: _Ring) -> bool:
    return any(each is ring for each in gc.get_objects())


def test_what_was_there_is_not_looked_at_and_what_comes_is() -> None:
    before = _Ring()
    with rarely_collected():
        made = _Ring()
        assert not _is_looked_at(before)
        assert _is_looked_at(made)
    assert _is_looked_at(before)


def test_a_block_within_another_changes_nothing() -> None:
    thresholds = gc.get_threshold()
    with rarely_collected():
        rare = gc.get_threshold()
        made = _Ring()
        with rarely_collected():
            assert _is_looked_at(made)
        assert gc.get_threshold() == rare
        assert rare[0] > thresholds[0]
        assert _is_looked_at(made)
    assert gc.get_threshold() == thresholds


def test_a_block_that_fails_leaves_the_collector_as_it_was() -> None:
    thresholds, before = gc.get_threshold(), _Ring()
    with pytest.raises(KeyError), rarely_collected():
        raise KeyError
    assert gc.get_threshold() == thresholds
    assert _is_looked_at(before)
