"""By which rule an order executed, at which price and for which fee: in words, from the fill and the candle it met."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from backtester.engine.explain.causes import CandleSeen, Cause
from backtester.engine.explain.words import is_some, plain

Event = Mapping[str, Any]
_PATHS: Final = {
    "pessimistic": "pessimistic: what goes against us first (stops, then limits from the open outwards)",
    "optimistic": "optimistic: open, the extreme where more of our waiting orders profit, the other, close",
    "open_near_extreme_first": "open, the extreme nearer to it, the other, close",
}
_BPS: Final = Decimal(10_000)


def rule_words(
    fill: Event,
    order: Event | None,
    cause: Cause | None,
    candle: CandleSeen | None,
    config: Mapping[str, Any],
    *,
    is_first: bool = True,
) -> list[str]:
    """Return how a fill came about, most important first.

    Args:
        fill: as in the log.
        order: as it was then; None when the log does not say.
        cause: what it met.
        candle: that candle, where the lake has it.
        config: the run's, as in its config.toml.
        is_first: no fill of the order was before it.
    """
    execution = config.get("execution", {})
    told = [_rule(fill, order, cause, candle, execution, is_first=is_first)]
    if cause is not None and cause.kind == "candle" and fill["order_id"] > 0:
        path = execution.get("path", "pessimistic")
        told.append(f"assumed path through the candle: {_PATHS.get(path, path)}")
    told.append(_slippage(fill, config))
    told.append(_fee(fill, config))
    if is_some(fill["leaves"]):
        told.append(_partial(fill, execution))
    return told


def _rule(  # noqa: PLR0911 - a table
    fill: Event,
    order: Event | None,
    cause: Cause | None,
    candle: CandleSeen | None,
    execution: Mapping[str, Any],
    *,
    is_first: bool,
) -> str:
    reference = plain(fill["reference_price"])
    if fill["order_id"] < 0:
        return f"the exchange closed it itself ({fill['tag']}) at {reference}"
    if cause is None or cause.kind == "trade":
        return f"it met {'a trade on the tape' if cause is None else cause.words}, at {reference}"
    if cause.kind in ("optionchain", "chainrows", "dues"):
        return f"it met the best quote of {cause.words}, {reference}"
    if fill["liquidity"] == "internal":
        return f"another strategy of the account took the other side at {reference}: the market saw nothing of it"
    if cause.kind == "open":
        limited = order is not None and is_some(order["limit_price"])
        within = f", which its limit {plain(order['limit_price'])} allows" if limited and order else ""
        why = "the first price after it was accepted" if is_first else "what was left had waited for more to be traded"
        return f"it took {cause.words}, {reference}: {why}{within}"
    kind = fill["kind"]
    if kind == "market" and execution.get("market_fill") == "mid":
        return f"market orders fill in the middle of the next candle (execution.market_fill): {reference}"
    if fill["liquidity"] == "maker":
        return _rested(fill, candle, execution)
    return _triggered(fill, order, candle, reference)


def _rested(fill: Event, candle: CandleSeen | None, execution: Mapping[str, Any]) -> str:
    buys, limit = fill["side"] == "buy", plain(fill["reference_price"])
    touch = bool(execution.get("touch_fills"))
    way = "touched" if touch else "traded through"
    seen = ""
    if candle is not None:
        extreme = candle.low if buys else candle.high
        seen = f" (its {'low' if buys else 'high'} {extreme:.10g} is {'below' if buys else 'above'} it)"
        if extreme == float(fill["reference_price"]):
            seen = f" (its {'low' if buys else 'high'} is exactly there)"
    return f"it rested at its limit {limit}, and the candle {way} it{seen}: filled at the limit, as a maker"


def _triggered(fill: Event, order: Event | None, candle: CandleSeen | None, reference: str) -> str:
    kind = fill["kind"].replace("_", " ")
    if kind == "limit":
        return f"its limit was through the market when it arrived: it took the open, {reference}"
    stop = "" if order is None or not is_some(order["stop_price"]) else f" {plain(order['stop_price'])}"
    gapped = candle is not None and stop and candle.open == float(fill["reference_price"]) != float(stop)
    if gapped:
        return f"the candle opened beyond its {kind}{stop}: it executed at that open, {reference}"
    reached = ""
    if candle is not None:
        reached = f" (low {candle.low:.10g}, high {candle.high:.10g})"
    return f"the candle reached its {kind}{stop}{reached}: it executed there, at {reference}"


def _slippage(fill: Event, config: Mapping[str, Any]) -> str:
    price, reference = Decimal(fill["price"]), Decimal(fill["reference_price"])
    worse = (price - reference) * (1 if fill["side"] == "buy" else -1)
    if worse == 0:
        why = "a maker pays none" if fill["liquidity"] == "maker" else "none"
        return f"slippage: {why}; price {plain(fill['price'])} is the reference price"
    model = config.get("slippage", {}).get("model", "bps")
    shown = f"model {model}"
    if model == "bps":
        shown = f"slippage.bps {config.get('slippage', {}).get('bps', '?')}, rounded against us"
    if config.get("impact", {}).get("model", "none") != "none":
        shown += f", with impact {config['impact']['model']}"
    bps = worse / reference * _BPS if reference else Decimal(0)
    return (
        f"slippage: {plain(str(worse))} a unit ({bps:.2f} bps) against us: "
        f"{plain(fill['reference_price'])} → {plain(fill['price'])} ({shown})"
    )


def _fee(fill: Event, config: Mapping[str, Any]) -> str:
    fee, market = Decimal(fill["fee"]), fill["instrument"].partition(":")[0]
    if fee == 0:
        return f"fee: none ({fill['liquidity']})"
    amount, of = _charged(fill)
    name = "rebate" if fee < 0 else "fee"
    rate = abs(fee) / amount * _BPS if amount else Decimal(0)
    how = f"{rate:.2f} bps ({fill['liquidity']}) of {of}"
    if market == "option":
        how += "; options are charged by their underlying, and at most a share of the premium"
    elif fill["order_id"] < 0:
        how += "; of the exchange's own order, at most what the wallet has"
    elif config.get("fees", {}).get("tiers"):
        how += "; the tier of the volume of the last 30 days"
    return f"{name}: {plain(str(abs(fee)))} {fill['fee_asset']} = {how}, rounded {'down' if fee < 0 else 'up'}"


def _charged(fill: Event) -> tuple[Decimal, str]:
    """Return on what the fee was charged, and its name."""
    qty, price = Decimal(fill["qty"]), Decimal(fill["price"])
    contract = Decimal(fill.get("contract", 1))
    market = fill["instrument"].partition(":")[0]
    if market == "spot" and fill["fee_asset"] == fill["base"]:
        return qty, f"the {plain(fill['qty'])} {fill['base']} received"
    notional = qty * contract / price if market == "cm" else qty * contract * price
    return notional, f"{plain(f'{notional:.8f}')} {fill['base'] if market == 'cm' else fill['quote']}"


def _partial(fill: Event, execution: Mapping[str, Any]) -> str:
    share = execution.get("participation", "0")
    cap = f", of which our orders may take {share} (execution.participation)" if is_some(share) else ""
    return f"{plain(fill['leaves'])} stayed open: no more was traded there{cap}"
