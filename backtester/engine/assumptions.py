"""What the simulated exchange assumes in a run, in words: part of run.json, and on the screen."""

from backtester.config.configs import BacktestConfig
from backtester.core.instruments import Holding, split_holding, split_id
from backtester.core.numbers import MONEY_SCALE
from backtester.core.valuation import Conversion
from backtester.engine.applied_rules import fees_in_words, rules_in_words
from backtester.engine.exchange_setup import modelled_delays
from backtester.engine.funding_plan import funding_in_words
from backtester.engine.margin_setup import margin_in_words
from backtester.engine.option_record import options_in_words
from backtester.engine.position_sides import HEDGE, listed_only
from backtester.engine.prepare import PreparedRun
from backtester.engine.risk_setup import limits_in_words
from backtester.engine.settlement_plan import settlements_in_words

_MARKET_FILLS = {"open": "at the next open", "mid": "in the middle of the next candle"}
PATHS_IN_WORDS = {
    "pessimistic": "stops before limits inside a candle",
    "open_near_extreme_first": "the extreme nearer to the open first inside a candle",
    "optimistic": "the extreme in the trader's favour first inside a candle",
}


def assumptions(run: PreparedRun) -> dict[str, str]:
    """Return every assumption in force."""
    config = run.config
    words = {
        "fills": _fills(run),
        "limit": _limits(run),
        "volume": _volume(run),
        "triggers": _triggers(config),
        "stop_through": f"a stop that is already through the market is "
        f"{'rejected' if config.execution.stop_through == 'reject' else 'executed at the market'}",
        "fees": _fees(config),
        "rules": rules_in_words(config),
        "limits": limits_in_words(config),
        "slippage": _slippage(config),
        "impact": _impact(config),
        "latency": _latency(run),
    }
    if all(spec.is_option for spec in run.instruments.values()):
        for name in ("slippage", "impact", "triggers", "stop_through"):  # nothing of that touches an option
            del words[name]
    models = {"": config.sizing.model} | {f"{i} ": own.model for i, own in config.sizing.instruments.items()}
    if set(models.values()) != {"none"}:
        words["sizing"] = "entries without a size: " + ", ".join(f"{i}{model}" for i, model in models.items())
        if left_out := costs_not_sized(config):
            words["sizing"] += f"; {left_out}"
    named = {a: c for a, c in run.valuation.conversions.items() if a in _held(run)}
    if named:
        words["currency"] = f"all is summed up in {run.valuation.currency}; " + ", ".join(
            f"{asset} at {conversion_in_words(conversion)}" for asset, conversion in sorted(named.items())
        )
    if run.margin.brackets:
        words["funding"] = funding_in_words(run.funding)
        words["leverage"] = margin_in_words(run.margin)
        if config.futures.position_mode == HEDGE:
            words["positions"] = "hedge mode: a long and a short one of each future, side by side"
        words["liquidation"] = liquidation_in_words(run)
    if config.strategies:
        words["strategies"] = _strategies(config)
        if run.margin.brackets:
            words["strategies"] += (
                "; what a strategy's futures lose beyond its share the insurance fund pays, not the money of the others"
            )
    if run.settlements:
        words["expiry"] = settlements_in_words(run.settlements)
    if run.blind:
        words["before_expiry"] = "; ".join(run.blind)
    return words | options_in_words(run)


def _strategies(config: BacktestConfig) -> str:
    own = "each has money and positions of its own; "
    if config.portfolio.netting == "none":
        return own + "every order goes to the market whole"
    return own + "market orders of two that would fill at one open meet each other first, there, without costs"


def conversion_in_words(conversion: Conversion) -> str:
    """Return what says how much an asset is worth: a number, an instrument, or several in turn."""
    if conversion.instrument is None:
        return f"{conversion.rate_units / MONEY_SCALE:g}"
    own = f"1 / {conversion.instrument}" if conversion.is_inverted else str(conversion.instrument)
    return own if conversion.then is None else f"{own} x {conversion_in_words(conversion.then)}"


def _held(run: PreparedRun) -> set[str]:
    """Return the assets whose balances must be converted: what instruments settle in, and what was put in."""
    found = {str(spec.settle) for spec in run.instruments.values()}
    return found | {split_holding(Holding(name))[1] for name in run.config.account.wallets}


def costs_not_sized(config: BacktestConfig) -> str:
    """Return which costs risk_per_trade leaves out of the loss that it sizes by, or nothing: those of models depend on
    the quantity and on the market at the fill.
    """
    rules = [config.sizing, *config.sizing.instruments.values()]
    left_out = [f"slippage.model {config.slippage.model}"] if config.slippage.model != "bps" else []
    left_out += [f"impact.model {config.impact.model}"] if config.impact.model != "none" else []
    if not left_out or not any(r.model == "risk_per_trade" and r.include_costs for r in rules):
        return ""
    return (
        f"risk_per_trade counts fees and slippage.bps, not what {' and '.join(left_out)} adds: "
        "a stop loses more than sizing.percent"
    )


def liquidation_in_words(run: PreparedRun) -> str:
    """Return by which prices positions are liquidated, and at which."""
    by_trades = sorted(i for i in listed_only(run.margin.brackets) if i not in run.marks)
    words = "along the mark candles" if run.marks else ""
    if by_trades:
        words += (", " if words else "") + f"along what is traded of {', '.join(by_trades)}"
    return f"{words}, before any stop of the same candle, at the liquidation price or a worse open"


def _fills(run: PreparedRun) -> str:
    """Return what executes: candles, the trades of each instrument that has a tape, or both."""
    execution = run.config.execution
    words = []
    if stored := sorted({item.stored_timeframe for item in run.series if not item.tape}):
        words.append(
            f"candles of {', '.join(stored)}, market orders {_MARKET_FILLS[execution.market_fill]}, "
            f"{PATHS_IN_WORDS[execution.path]}"
        )
    for item in run.series:
        if item.tape:
            price = "the last quote before it, up to its size" if item.quotes else "its price, up to its quantity"
            words.append(f"{item.tape} of {item.instrument}, market orders on the next trade at {price}")
    if run.chains:
        words.append("rows of option chains: limit orders at the best bid or ask of the next row, never within one")
    return "; ".join(words)


def _limits(run: PreparedRun) -> str:
    touch = run.config.execution.touch_fills
    words = []
    if any(not item.tape for item in run.series):
        words.append("filled when touched" if touch else "filled only when traded through")
    if any(item.tape for item in run.series):
        shown = "behind what the quote shows at the price; " if any(item.quotes for item in run.series) else ""
        ahead = "nobody" if touch else "everybody"
        words.append(f"on trades {shown}{'else ' if shown else ''}{ahead} ahead in the queue")
    if run.chains:
        words.append("options at what a row shows, post-only at the limit")
    return "; ".join(words)


def _fees(config: BacktestConfig) -> str:
    fees = config.fees
    own = fees_in_words(config)
    return (
        "; ".join(_rates(config, market) for market in sorted({split_id(i)[0] for i in config.instruments}))
        + (f", {len(fees.tiers)} volume tiers" if fees.tiers else "")
        + (", taken from what is bought" if fees.spot_asset == "received" else "")
        + (f"; {own}" if own else "")
        + (f"; {fees.discount_pct}% less for {fees.discount_asset}, bought when needed" if fees.discount_asset else "")
    )


def _rates(config: BacktestConfig, market: str) -> str:
    """Return the rates of a market; its name only where the run has several."""
    rates = config.fees.of(market)
    name = f"{market} " if config.fees.markets else ""
    return f"{name}maker {rates.maker_bps} bps, taker {rates.taker_bps} bps"


def _volume(run: PreparedRun) -> str:
    share = run.config.execution.participation
    words = []
    if run.chains:
        words.append("of options at most the quantity that a row shows")
    if any(not item.tape for item in run.series):
        words.append(
            f"our orders take at most {float(100 * share):g}% of what trades in a candle, at an open of the candle "
            "before; the rest waits"
            if share
            else "no cap: an order fills whole, however little trades"
        )
    if any(item.tape for item in run.series):
        words.append(f"our orders take at most {float(100 * (share or 1)):g}% of each trade; the rest waits")
    return "; ".join(words)


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
