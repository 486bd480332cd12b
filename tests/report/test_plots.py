"""Pictures: they can be opened, show what is there, and are the same each time."""

import numpy as np
import pytest

from backtester.report.picture import Picture
from backtester.report.plots import Curve, Marks, drawdown_plot, equity_plot, months_plot, price_plot

pytest.importorskip("PIL", reason="comes with matplotlib")

DAY = 86_400_000_000
TS = np.arange(100, dtype=np.int64) * DAY
CURVE = 1_000.0 + 100.0 * np.sin(np.arange(100) / 9)
ORANGE, BLUE, VIOLET, GREEN = (194, 80, 10), (15, 98, 168), (122, 63, 160), (10, 143, 108)


def pixels(picture: Picture) -> np.ndarray:
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(picture.png())).convert("RGB"))


def count_of(picture: Picture, colour: tuple[int, int, int]) -> int:
    return int(np.all(pixels(picture) == colour, axis=2).sum())


def test_equity_is_drawn_beside_buy_and_hold_when_that_is_known() -> None:
    alone = equity_plot("run", "USDT", Curve(TS, CURVE), None)
    beside = equity_plot("run", "USDT", Curve(TS, CURVE), Curve(TS, CURVE[::-1]))
    assert pixels(alone).shape == pixels(beside).shape == (690, 1500, 3)
    assert count_of(alone, BLUE) > 1_000
    grey = (138, 146, 156)
    assert count_of(beside, grey) > count_of(alone, grey) + 200


def test_a_deeper_drawdown_fills_no_less_of_the_picture_than_none() -> None:
    none = drawdown_plot("run", Curve(TS, np.zeros(100)))
    deep = drawdown_plot("run", Curve(TS, -np.abs(np.sin(np.arange(100) / 9)) * 0.5))
    assert count_of(deep, ORANGE) > count_of(none, ORANGE)


@pytest.mark.parametrize("trades", [10, 168])
def test_entries_are_marked_by_side_and_exits_by_what_they_made(trades: int) -> None:
    def drawn(long: bool, won: bool) -> Picture:
        at = np.linspace(int(TS[5]), int(TS[40]), trades).astype(np.int64)
        marks = Marks(
            at, np.full(trades, 950.0), at + 40 * DAY, np.full(trades, 1050.0), np.full(trades, long),
            np.full(trades, won),
        )  # fmt: skip
        return price_plot("run", "USDT", Curve(TS, CURVE), marks)

    without = price_plot("run", "USDT", Curve(TS, CURVE), None)
    assert not any(count_of(without, colour) for colour in (BLUE, ORANGE, VIOLET, GREEN))
    both = {BLUE: (True, True), GREEN: (True, True), VIOLET: (False, False), ORANGE: (False, False)}
    for colour, kinds in both.items():
        assert count_of(drawn(*kinds), colour) > 150
    assert not count_of(drawn(True, True), ORANGE)


def test_months_have_a_row_a_year_and_cells_without_a_value() -> None:
    one = pixels(months_plot("run", [("2023-01", 0.05, False), ("2023-02", None, False)]))
    three = pixels(months_plot("run", [("2023-01", 0.05, True), ("2025-12", -0.02, False)]))
    assert three.shape[0] > one.shape[0]


def test_a_picture_made_twice_is_the_same_file() -> None:
    curve = Curve(TS, -CURVE / 9_999)
    assert drawdown_plot("run", curve).png() == drawdown_plot("run", curve).png()
