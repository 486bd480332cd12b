"""mean_reversion on 50 candles drawn by hand: RSI of 3, bands of 5 and 1.5 deviations, a mean of 8."""

from pathlib import Path

from tests.support.shipped import closing_at, deals, ran_shipped

PARAMS = {"rsi": 3, "bands": 5, "deviations": 1.5, "mean": 8, "max_candles": 5, "cooldown": 3}
CLOSES = [
    *[100.0] * 8,  # 0: RSI 50, bands without width
    100.2,  # 8: RSI 100, upper band 100.16, 0.2 % above the mean: short
    99.9,  # 9: middle 100.02 reached: closed
    *[100.1, 100.0, 100.1, 100.0],  # 10
    98.9,  # 14: RSI 8, lower band 99.13, 1.0 % below the mean: long
    98.5,  # 15: RSI 5
    99.3,  # 16: RSI 51, below the middle at 99.36: closed
    *[100.0, 100.1, 100.0, 100.1, 100.0, 99.9],  # 17
    96.5,  # 23: RSI 4, lower band 97.20, but 3.0 % below the mean
    97.0,  # 24
    98.0,  # 25: RSI 47, middle 98.28
    98.6,  # 26: RSI 59, middle 98.00
    *[98.4, 98.5, 98.6, 98.5, 98.4, 98.6],  # 27
    99.6,  # 33: RSI 89, upper band 99.39, 1.0 % above the mean: short
    *[100.0, 99.9, 99.7],  # 34: RSI 92, 83, 64, middle 99.02, 99.30, 99.56
    98.9,  # 37: RSI 27, middle 99.62: closed; below the lower band at 99.04, too, but a trade rests
    *[98.7, 98.6, 98.8, 98.7, 98.6],  # 38
    97.6,  # 43: RSI 7, lower band 97.81, 1.1 % below the mean: long
    *[97.5, 97.4, 97.3, 97.2],  # 44: always below the middle
    97.1,  # 48: the fifth candle: closed
    97.0,  # 49
]


def traded(folder: Path, **params: object) -> list[tuple[str, int, str]]:
    """What was done at which candle: the open after the close that decided, and which side."""
    ran = ran_shipped(folder, "mean_reversion", closing_at(CLOSES), **(PARAMS | params))
    return [(tag, candle, "buy" if qty[0] != "-" else "sell") for tag, candle, _, qty in deals(ran)]


def test_the_rule_on_fifty_candles(tmp_path: Path) -> None:
    assert len(CLOSES) == 50
    assert traded(tmp_path) == [
        ("entry", 9, "sell"),
        ("entry.exit", 10, "buy"),
        ("entry", 15, "buy"),
        ("entry.exit", 17, "sell"),
        ("entry", 34, "sell"),
        ("entry.exit", 38, "buy"),
        ("entry", 44, "buy"),
        ("entry.exit", 49, "sell"),
    ]


def test_the_price_may_be_farther_from_the_mean_when_told(tmp_path: Path) -> None:
    assert traded(tmp_path, max_distance_pct=4)[4:6] == [("entry", 24, "buy"), ("entry.exit", 27, "sell")]


def test_the_middle_band_ends_a_trade_whatever_the_rsi(tmp_path: Path) -> None:
    # an RSI of 8 candles is 17 at candle 23, and 46 at candle 26, whose close is above the middle
    assert traded(tmp_path, rsi=8, max_distance_pct=4)[-4:-2] == [("entry", 24, "buy"), ("entry.exit", 27, "sell")]


def test_after_a_trade_it_rests(tmp_path: Path) -> None:
    assert traded(tmp_path, cooldown=5)[2] == ("entry", 16, "buy")  # candle 14 is the fifth close, 15 enters as well


def test_it_takes_all_of_the_equity_or_what_it_is_told(tmp_path: Path) -> None:
    for exposure, qty in ((1.0, "-99.8"), (0.5, "-49.9")):  # of 10000 at 100.2
        ran = ran_shipped(tmp_path / qty, "mean_reversion", closing_at(CLOSES), **(PARAMS | {"exposure": exposure}))
        assert deals(ran)[0] == ("entry", 9, "100.2", qty)


def test_on_spot_it_is_long_only(tmp_path: Path) -> None:
    ran = ran_shipped(tmp_path, "mean_reversion", closing_at(CLOSES), market="spot", **PARAMS)
    assert [candle for tag, candle, *_ in deals(ran) if tag == "entry"] == [15, 38]
    assert {reason for _, reason, _ in ran.refusals} == {"short_not_allowed"}
