"""Curves lose points and no extremes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtester.report.page.thinning import kept_rows, stretches

CURVES = st.lists(st.tuples(st.integers(0, 50), st.integers(-100, 100)), min_size=2, max_size=400)


def curve(steps: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([dt for dt, _ in steps]).astype(np.int64), np.array([float(v) for _, v in steps])


@given(CURVES, st.integers(1, 12))
def test_every_stretch_keeps_its_first_last_lowest_and_highest(steps: list[tuple[int, int]], buckets: int) -> None:
    ts, values = curve(steps)
    rows = kept_rows(ts, [values], buckets)
    assert np.array_equal(rows, np.unique(rows))
    assert rows[0] == 0
    assert rows[-1] == len(ts) - 1
    if len(rows) == len(ts):
        return
    assert len(rows) <= 4 * (buckets + 1)
    edges = np.linspace(float(ts[0]), float(ts[-1]), buckets + 1)[:-1].astype(np.int64)
    stretch = np.searchsorted(edges, ts, side="right")
    for one in set(stretch.tolist()):
        mine = np.flatnonzero(stretch == one)
        kept = np.intersect1d(mine, rows)
        assert values[kept].min() == values[mine].min()
        assert values[kept].max() == values[mine].max()
        assert {int(mine[0]), int(mine[-1])} <= set(kept.tolist())


def test_a_short_curve_is_kept_whole() -> None:
    ts = np.arange(100, dtype=np.int64)
    assert np.array_equal(kept_rows(ts, [np.sin(ts)], 50), np.arange(100))


@given(CURVES, st.integers(1, 12))
def test_the_means_of_stretches_add_up_to_the_area_under_the_curve(steps: list[tuple[int, int]], count: int) -> None:
    ts, values = curve([(max(1, dt), v) for dt, v in steps])
    starts, means, highest = stretches(ts, values, count)
    lengths = np.diff(np.append(starts, ts[-1]))
    assert np.isclose(np.sum(means * lengths), np.sum(values[:-1] * np.diff(ts)), atol=1e-6)
    assert np.all(highest >= means - 1e-9)
    assert highest.max() == values.max()


def test_a_position_held_half_of_a_stretch_counts_half() -> None:
    starts, means, highest = stretches(np.array([0, 5, 10, 20]), np.array([0.0, 1.0, 0.0, 0.0]), 2)
    assert starts.tolist() == [0, 10]
    assert means.tolist() == [0.5, 0.0]
    assert highest.tolist() == [1.0, 0.0]
