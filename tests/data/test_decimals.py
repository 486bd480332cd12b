from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.data.decimals import DecimalsNeeded, decimals_needed, restores, too_fine

values = st.one_of(
    st.integers(-(10**15), 10**15).flatmap(lambda n: st.integers(0, 14).map(lambda d: n / 10**d)),
    st.floats(min_value=-1e17, max_value=1e17),
)
blocks = st.lists(st.lists(values, min_size=1, max_size=6).map(np.array), min_size=1, max_size=5)


@given(blocks, st.sampled_from([0, 8, 12]))
def test_block_by_block_gives_what_all_values_give(parts: list[Any], most: int) -> None:
    counter = DecimalsNeeded(most)
    for part in parts:
        counter.update(part)
    if not counter.is_sure:
        counter.recount(lambda: parts)
    every = np.concatenate(parts)
    by_definition = next((d for d in range(most + 1) if restores(every, d).all()), None)
    assert counter.decimals == by_definition == decimals_needed([every], most)


def test_values_so_large_that_one_look_does_not_settle_it_are_looked_at_again() -> None:
    counter = DecimalsNeeded(12)
    counter.update(np.array([2.0**60]))
    counter.update(np.array([0.25]))
    assert not counter.is_sure
    counter.recount(lambda: [np.array([2.0**60]), np.array([0.25])])
    assert counter.decimals == decimals_needed([np.array([2.0**60, 0.25])], 12)


@given(st.lists(values, min_size=1, max_size=300))
def test_too_fine_is_what_no_number_of_decimals_restores(listed: list[float]) -> None:
    every = np.array(listed)
    found = too_fine(every, 12)
    expected = ~np.any([restores(every, d) for d in range(13)], axis=0)
    assert (np.zeros(len(every), dtype=bool) if found is None else found).tolist() == expected.tolist()


@pytest.mark.parametrize("size", [1, 40_000, 100_001])
def test_one_value_at_the_end_of_many_decides(size: int) -> None:
    every = np.full(size, 1.5)
    every[-1] = 0.125
    assert decimals_needed([every], 8) == 3
