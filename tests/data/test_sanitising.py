import pytest

from backtester.core.errors import DataError
from backtester.core.time import parse_time
from backtester.data.downloader.parsing import parse_table
from backtester.data.downloader.rows import CleanRows
from backtester.data.downloader.rules import RULES
from backtester.data.downloader.sanitising import Repairs, infer_timeframe, sanitise
from backtester.data.partition import Source
from backtester.data.schemas import KLINES

START = parse_time("2024-01-01")
DAY = (START, parse_time("2024-01-02"))


def row(
    minute: int, o: str = "10", h: str = "12", low: str = "9", c: str = "11", v: str = "5", rest: str = ",,,"
) -> str:
    return f"{START // 1000 + minute * 60_000},{o},{h},{low},{c},{v}{rest}"


def clean(
    rows: list[str], *, timeframe: str = "1m", dates: tuple[int, int] | None = None, **allowed: int | bool
) -> CleanRows:
    header = "open_time,open,high,low,close,volume,quote_volume,trades,taker_buy_volume"
    parsed = parse_table("x.csv", "\n".join([header, *rows]).encode(), KLINES, {})
    return sanitise("x.csv", parsed, Source("x.csv"), timeframe, Repairs(**allowed), dates)  # type: ignore[arg-type]


def counts(found: CleanRows) -> dict[str, int]:
    return {name: len(times) for name, times in found.repairs.items()}


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (row(3, o="nan"), "open is not a number"),
        (row(3, h="inf"), "high is not finite"),
        (row(3, low="0", o="0"), "open is not above zero"),
        (row(3, low="-1"), "low is not above zero"),
        (row(3, h="10.5"), "high is below open or close"),
        (row(3, low="10.5"), "low is above open or close"),
        (row(3, v="-1"), "volume is negative"),
        (row(3, rest=",-1,,"), "quote_volume is negative"),
        (row(3, rest=",,-7,"), "trades is negative"),
        (row(3, rest=",,,inf"), "taker_buy_volume is not a number"),
        (row(3).replace("0000,", "0001,", 1), "open_time is off the timeframe's grid"),
        (row(1440), "open_time is outside the file's dates 2024-01-01 .. 2024-01-02"),
        ("a,b", "wrong number of columns"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_dropped_when_asked(bad: str, rule: str) -> None:
    rows = [row(0), row(1), bad, row(4), row(5)]
    with pytest.raises(DataError) as error:
        clean(rows, dates=DAY)
    assert f"x.csv: 1 of 5 rows are bad: {rule}: line 4" in error.value.message
    assert "--drop-bad" in error.value.hint
    found = clean(rows, dates=DAY, drop_bad=True)
    assert len(found.rows) == 4
    by_rule = [name for name in counts(found) if name.removeprefix("dropped_") in RULES]
    assert (counts(found)["bad_rows_dropped"], [counts(found)[name] for name in by_rule]) == (1, [1])
    assert found.repairs["bad_rows_dropped"].tolist()[0] in found.rows.key.tolist()


def test_only_the_first_lines_are_listed_and_the_rest_counted() -> None:
    with pytest.raises(DataError, match=r"line 2: -1\.0, line 3: -1\.0, line 4: -1\.0, and 6 more"):
        clean([row(i, v="-1") for i in range(9)])


def test_nothing_left_is_refused_even_when_dropping() -> None:
    with pytest.raises(DataError, match="2 of 2 rows are bad"):
        clean([row(0, v="-1"), row(1, v="-1")], drop_bad=True)


def test_unsorted_rows_are_sorted_and_counted() -> None:
    found = clean([row(3), row(2), row(1), row(4)])
    assert ((found.rows.key - START) // 60_000_000).tolist() == [1, 2, 3, 4]
    assert counts(found) == {"rows_sorted": 2}


def test_identical_rows_become_one_and_are_counted() -> None:
    found = clean([row(1), row(2), row(2), row(2), row(3)])
    assert len(found.rows) == 3
    assert counts(found) == {"duplicates_dropped": 2}


def test_a_duplicate_may_know_more_and_both_are_combined() -> None:
    found = clean([row(1, rest=",100,,"), row(1, rest=",,7,"), row(2)])
    assert found.rows.columns["quote_volume"][0] == 100
    assert found.rows.columns["trades"][0] == 7


def test_two_different_candles_of_one_time_are_refused_with_both_shown() -> None:
    rows = [row(1), row(2), row(2, c="10.5"), row(3)]
    with pytest.raises(DataError) as error:
        clean(rows)
    assert (
        "first at 2024-01-01T00:02:00Z: line 3 (open=10.0 high=12.0 low=9.0 close=11.0 volume=5.0)"
        in error.value.message
    )
    assert "line 4 (open=10.0 high=12.0 low=9.0 close=10.5" in error.value.message
    found = clean(rows, drop_bad=True)
    assert ((found.rows.key - START) // 60_000_000).tolist() == [1, 3]
    assert counts(found) == {"conflicting_rows_dropped": 2}


def test_prices_that_need_more_than_twelve_decimals_are_refused_or_rounded() -> None:
    rows = [row(0), row(1, o="10.30000000000000071"), row(2), row(3, o="0.1234567890123", low="0.1")]
    with pytest.raises(DataError, match="values of open need more than 12 decimals, the first on line 5") as error:
        clean(rows)
    assert "--price-decimals" in error.value.hint
    found = clean(rows, price_decimals=4)
    assert found.rows.columns["open"].tolist() == [10, 10.3, 10, 0.1235]
    assert counts(found) == {"prices_rounded": 1}
    with pytest.raises(DataError, match="low is not above zero"):
        clean([row(0, low="0.4")], price_decimals=0)


def test_the_timeframe_is_the_most_common_spacing() -> None:
    found = clean([row(i) for i in (0, 5, 10, 25, 30)], timeframe="5m")
    assert infer_timeframe("x", found.rows.key) == "5m"
    with pytest.raises(DataError, match="too few rows"):
        infer_timeframe("x", found.rows.key[:3])
    with pytest.raises(DataError, match="mostly 840 s apart, which is no timeframe"):
        infer_timeframe("x", found.rows.key[:1] + 14 * 60_000_000 * (found.rows.line - 2))


def test_a_timeframe_that_no_rows_show_is_refused() -> None:
    with pytest.raises(DataError, match="no two rows are 1m apart, the closest are 300 s apart"):
        clean([row(i) for i in (0, 5, 10, 15)])


def test_mark_prices_in_the_shape_of_klines_are_refused() -> None:
    with pytest.raises(DataError, match="look like mark or index prices"):
        clean([row(i, v="0", rest=",0,60,0") for i in range(5)])
    assert len(clean([row(i, v="0", rest=",0,0,0") for i in range(5)]).rows) == 5
