"""What the two ends of the band assume, by default and when the config says more."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.config.band import BAND, band_configs, differences
from backtester.config.configs import BacktestConfig
from backtester.config.loading import load_backtest_config
from backtester.core.errors import UsageError


def config(**sections: object) -> BacktestConfig:
    return BacktestConfig.model_validate(sections)


def test_the_base_is_the_config_itself_and_the_ends_change_four_keys() -> None:
    given_ = config(execution={"path": "open_near_extreme_first"}, slippage={"bps": 2}, fees={"taker_bps": 7})
    found = band_configs(given_)
    assert tuple(found) == BAND
    assert found["base"] == given_
    assert differences(found) == {
        "execution.participation": {"pessimistic": "0.05", "base": "0.1", "optimistic": "1"},
        "execution.path": {
            "pessimistic": "pessimistic",
            "base": "open_near_extreme_first",
            "optimistic": "optimistic",
        },
        "execution.touch_fills": {"pessimistic": False, "base": False, "optimistic": True},
        "slippage.bps": {"pessimistic": "5", "base": "2", "optimistic": "0"},
    }


def test_what_the_config_says_of_an_end_wins_and_the_rest_of_its_defaults_stays() -> None:
    found = band_configs(
        config(band={"pessimistic": {"slippage": {"bps": 9}, "fees": {"taker_bps": 12}, "execution": {"max_wait": 1}}})
    )
    worst = found["pessimistic"]
    assert (worst.slippage.bps, worst.fees.taker_bps, worst.execution.max_wait) == (9, 12, 1)
    assert (worst.execution.path, worst.execution.touch_fills) == ("pessimistic", False)
    assert found["base"].fees.taker_bps is None
    assert found["optimistic"].slippage.bps == 0


def test_only_what_was_given_is_written_and_read_again() -> None:
    given_ = config(band={"optimistic": {"execution": {"touch_fills": False}}})
    dumped = given_.model_dump()["band"]
    assert dumped == {"pessimistic": {}, "optimistic": {"execution": {"touch_fills": False}}}
    again = BacktestConfig.model_validate(given_.model_dump())
    assert band_configs(again) == band_configs(given_)
    assert band_configs(again)["optimistic"].execution.path == "optimistic"


def test_the_ends_have_no_band_of_their_own() -> None:
    found = band_configs(config(band={"pessimistic": {"slippage": {"bps": 9}}}))
    assert found["pessimistic"].model_dump()["band"] == {"pessimistic": {}, "optimistic": {}}


@given(bps=st.decimals(0, 9999, places=4))
def test_the_ends_enclose_the_slippage_of_the_config(bps: Decimal) -> None:
    found = band_configs(config(slippage={"bps": bps}))
    assert found["optimistic"].slippage.bps <= bps <= found["pessimistic"].slippage.bps


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[band.pessimistic]\nexecution.pth = 'x'", "unknown key 'band.pessimistic.execution.pth'"),
        ("[band.pessimistic]\nslippage.bps = -1", "band.pessimistic.slippage.bps"),
        ("[band.worst]\nslippage.bps = 1", "unknown key 'band.worst'"),
        ("[band.optimistic]\nrun.seed = 1", "unknown key 'band.optimistic.run'"),
    ],
)
def test_a_mistake_in_the_band_is_named_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_backtest_config(tmp_path / "c.toml")
    assert said in caught.value.message


def test_rates_of_an_end_hold_for_all_markets_but_those_that_it_names() -> None:
    own = {"spot": {"maker_bps": 10, "taker_bps": 10}, "um": {"maker_bps": 2, "taker_bps": 5}}
    ends = {"fees": {"taker_bps": 12}}
    config = BacktestConfig.model_validate({"fees": {"markets": own}, "band": {"pessimistic": ends}})
    worst = band_configs(config)["pessimistic"].fees
    assert [(worst.of(m).maker_bps, worst.of(m).taker_bps) for m in ("spot", "um")] == [(10, 12), (2, 12)]
    named = {"fees": {"taker_bps": 12, "markets": {"um": {"maker_bps": 3, "taker_bps": 7}}}}
    config = BacktestConfig.model_validate({"fees": {"markets": own}, "band": {"pessimistic": named}})
    worst = band_configs(config)["pessimistic"].fees
    assert [(worst.of(m).maker_bps, worst.of(m).taker_bps) for m in ("spot", "um")] == [(10, 12), (3, 7)]
    assert band_configs(config)["optimistic"].fees == config.fees
