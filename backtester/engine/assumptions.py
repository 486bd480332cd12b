"""What the simulated exchange assumes in a run, in words: part of run.json, and on the screen."""

from backtester.config.configs import BacktestConfig
from backtester.engine.applied_rules import fees_in_words, rules_in_words
from backtester.engine.exchange_setup import modelled_delays
from backtester.engine.prepare import PreparedRun

_MARKET_FILLS = {"open": "at the next open", "mid": "in the middle of the next candle"}
PATHS_IN_WORDS = {
    "pessimistic": "stops before limits inside a candle",
    "open_near_extreme_first": "the extreme nearer to the open first inside a candle",
    "optimistic": "the extreme in the trader's favour first inside a candle",
}


def assumptions(run: PreparedRun) -> dict[str, str]:
    """Return every assumption in force."""
    config = run.config
    stored = sorted({item.stored_timeframe for item in run.series})
    words = {
        "fills": f"candles of {', '.join(stored)}, market orders {_MARKET_FILLS[config.execution.market_fill]}, "
        f"{PATHS_IN_WORDS[config.execution.path]}",
        "limit": "filled when touched" if config.execution.touch_fills else "filled only when traded through",
        "volume": _volume(config),
        "triggers": _triggers(config),
        "stop_through": f"a stop that is already through the market is "
        f"{'rejected' if config.execution.stop_through == 'reject' else 'executed at the market'}",
        "fees": _fees(config),
        "rules": rules_in_words(config),
        "slippage": _slippage(config),
        "impact": _impact(config),
        "latency": _latency(run),
    }
    if config.run.market == "um":
        words["leverage"] = "none: futures are fully collateralised, without funding or liquidation"
    return words


def _fees(config: BacktestConfig) -> str:
    fees = config.fees
    own = fees_in_words(config)
    return (
        f"maker {fees.maker_bps} bps, taker {fees.taker_bps} bps"
        + (f", {len(fees.tiers)} volume tiers" if fees.tiers else "")
        + (", taken from what is bought" if fees.spot_asset == "received" else "")
        + (f"; {own}" if own else "")
        + (f"; {fees.discount_pct}% less for {fees.discount_asset}, bought when needed" if fees.discount_asset else "")
    )


def _volume(config: BacktestConfig) -> str:
    share = config.execution.participation
    if not share:
        return "no cap: an order fills whole, however little trades"
    return (
        f"our orders take at most {100 * share:g}% of what trades in a candle, at an open of the candle before; "
        "the rest waits"
    )


def _triggers(config: BacktestConfig) -> str:
    if config.execution.trigger_price == "last":
        return "stops and take-profits watch the last price"
    return "stops and take-profits watch the mark price, seen when its candle closes, and execute at what trades next"


def _slippage(config: BacktestConfig) -> str:
    slippage = config.slippage
    words = f"{slippage.bps} bps against the trader on every taker fill"
    if slippage.model == "spread_volatility":
        return f"{words}, and {slippage.volatility} of the mean true range of {slippage.window} candles"
    if slippage.model == "volume_share":
        return f"{words}, and {slippage.volume_impact} times the square of the order's share of the candle's volume"
    return words


def _impact(config: BacktestConfig) -> str:
    impact = config.impact
    if impact.model == "none":
        return "none: our orders move no price"
    return (
        f"{impact.coefficient} x volatility x sqrt(quantity / volume) of {impact.window} candles, on every taker fill"
    )


def _latency(run: PreparedRun) -> str:
    execution = run.config.execution
    if not execution.latency_ms + execution.latency_jitter_ms:
        return "none: an order decided at a close reaches the exchange at that instant"
    words = f"{execution.latency_ms} ms" + (
        f" and up to {execution.latency_jitter_ms} ms more at random" if execution.latency_jitter_ms else ""
    )
    return latency_not_modelled(run) or f"orders and cancels travel {words}"


def latency_not_modelled(run: PreparedRun) -> str:
    """Return of which instruments the execution data are too coarse for the latency, or nothing."""
    execution = run.config.execution
    if not execution.latency_ms + execution.latency_jitter_ms:
        return ""
    modelled = modelled_delays(run)
    coarse = sorted({item.stored_timeframe for item in run.series if item.instrument not in modelled})
    if not coarse:
        return ""
    return (
        f"the latency of {execution.latency_ms + execution.latency_jitter_ms} ms is shorter than the candles of "
        f"{', '.join(coarse)} that execute: it moves no fill"
    )
