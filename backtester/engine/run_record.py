"""What run.json says of a run: status, origin of everything that decided it, digests, assumptions."""

import os
import sys
from pathlib import Path
from typing import Any

from backtester.config.configs import RunContext
from backtester.core.clock import merged_topics
from backtester.core.instruments import InstrumentId, split_holding
from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.time import format_time
from backtester.data.feeds.candle_feed import CandleFeed
from backtester.data.feeds.records import RECORD_KINDS
from backtester.data.schemas import BOOK_TICKER, FUNDING_RATE
from backtester.engine.accounting import accounting_record
from backtester.engine.applied_rules import applied_versions
from backtester.engine.assumptions import PATHS_IN_WORDS, assumptions, costs_not_sized, latency_not_modelled
from backtester.engine.attribution import strategies_record
from backtester.engine.config_snapshot import config_text
from backtester.engine.control_script import outside_warnings
from backtester.engine.feed_plan import FeedName
from backtester.engine.gap_policy import gap_records
from backtester.engine.margin_setup import margin_record
from backtester.engine.option_record import options_record, options_warnings
from backtester.engine.portfolio_record import portfolio_record
from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import digest_of, engine_digest, modules_below, own_sources, platform_text, versions
from backtester.engine.risk_setup import limit_warnings
from backtester.engine.strategy_hosts import heard_topics
from backtester.engine.wiring import Wired
from backtester.risk.breakers import State
from backtester.strategy.host import MARKET_HOOKS
from backtester.strategy.registry import FoundStrategy


def run_record(
    run: PreparedRun,
    wired: Wired,
    context: RunContext,
    status: str,
    error: BaseException | None,
    tables: dict[str, str],
    warnings: list[str],
) -> dict[str, Any]:
    """Return run.json, apart from timings."""
    return {
        "status": status,
        "context": context.model_dump(),
        "error": None if error is None else str(error),
        **_strategies_origin(run),
        "config": digest_of(config_text(run)),
        "engine_digest": engine_digest(),
        "versions": versions(),
        "platform": platform_text(),
        "range": {
            "start": format_time(run.start),
            "end": format_time(run.end),
            "last_tick": format_time(wired.board.now),
        },
        "data": [
            {"path": p.path, "content": p.content, "rows": p.rows, "sources": [s.address for s in p.sources]}
            for p in run.lake.partitions_read()
        ],
        "feeds": [str(feed.name) for feed in run.feeds],
        "gaps": gap_records(run.gaps, run.config.data),
        "rules": applied_versions(run.config),
        "log": {"digest": wired.log.digest, "lines": wired.log.lines},
        "tables": tables,
        "final": _final_state(run, wired),
        "portfolio": portfolio_record(run, wired),
        **_strategies(run, wired),
        "accounting": accounting_record(run, wired),
        "counts": {
            "fills": wired.recorder.fills.total(),
            "ambiguous_candles": wired.exchange.candles.ambiguous.total(),
            "intents_dropped_in_warmup": sum(one.host.dropped_in_warmup for one in wired.strategies),
            "incomplete_candles_dropped": incomplete_dropped(wired),
        },
        "breaker_trips": breaker_trips(wired),
        "candles_met": candles_met(wired),
        **futures_record(run, wired),
        **options_record(run, wired.exchange.desk),
        "assumptions": assumptions(run),
        "warnings": warnings,
    }


def _strategies(run: PreparedRun, wired: Wired) -> dict[str, Any]:
    """Return what only a run of several strategies has: what each made of its share."""
    if wired.parts is None:
        return {}
    account, prices = wired.account.ledger, wired.board.price_units
    made = strategies_record(run, account, wired.parts, wired.recorder.fills, wired.trades.counts, prices)
    return {"strategies": made}


def candles_met(wired: Wired) -> dict[str, dict[str, int]]:
    """Return by instrument how many candles met an order that had worked since their open, and how many of those were
    ambiguous.
    """
    met, ambiguous = wired.exchange.candles.met, wired.exchange.candles.ambiguous
    return {i: {"met": met[i], "ambiguous": ambiguous[i]} for i in sorted(met) if met[i]}


def futures_record(run: PreparedRun, wired: Wired) -> dict[str, Any]:
    """Return what only a run of futures has: funding, received less paid, by asset, and how often it moved money."""
    if not run.margin.brackets:
        return {}
    return {
        "margin": margin_record(run.margin),
        "margin_changes": dict(sorted(wired.exchange.margin_desk.changes.items())),
        "liquidation": _liquidation_record(wired),
        **({} if wired.settlement is None else {"settlement": dict(sorted(wired.settlement.settled.items()))}),
        "funding": {
            "payments": 0 if wired.funding is None else wired.funding.payments,
            "amounts": {
                asset: fixed(units, MONEY_EXPONENT)
                for asset, units in sorted(_by_asset(wired, "funding_units").items())
            },
        },
    }


def _liquidation_record(wired: Wired) -> dict[str, Any]:
    watch = wired.exchange.liquidator
    assert watch is not None
    return {
        "liquidations": dict(sorted(watch.liquidated.items())),
        "margin_calls": dict(sorted(watch.calls.items())),
        "shortfall": {a: fixed(units, MONEY_EXPONENT) for a, units in sorted(watch.insurance.paid.items())},
    }


def _paid_for_strategies(run: PreparedRun, wired: Wired) -> list[str]:
    """Return what the insurance fund paid of losses that in one netted account the money of others would have borne."""
    amounts = sorted(wired.trades.insurance.items())
    paid = [f"{fixed(units, MONEY_EXPONENT)} {asset}" for asset, units in amounts if units]
    if not paid or not run.config.strategies or not wired.exchange.ledger.margin.cross:
        return []
    return [
        f"the insurance fund paid {' and '.join(paid)} of losses beyond a strategy's share: with cross margin in one "
        "account of all, the money of the others and the reserve would have borne them first: the result is better by "
        "up to as much"
    ]


def warnings_after(run: PreparedRun, wired: Wired) -> list[str]:
    """Return what a reader of the result must know and could not know before the run."""
    found = [
        f"{one.sleeve.whose} has {hook} but no feed brings it anything: it is never called{_feeds_for(hook)}"
        for one in wired.strategies
        for hook in one.host.unfed_hooks(heard_topics(one.sleeve) if one.sleeve.id else merged_topics(wired.feeds))
    ]
    if dropped := sum(one.host.dropped_at_the_start for one in wired.strategies):
        what = "1 intent" if dropped == 1 else f"{dropped} intents"
        found.append(f"{what} that on_start returned went nowhere: no price is known then; return them from on_candle")
    ambiguous = wired.exchange.candles.ambiguous.total()
    if ambiguous:
        found.append(
            f"{ambiguous} of {wired.exchange.candles.met.total()} candles that met a working order touched both a stop "
            "and a limit: which came first is assumed, "
            f"{PATHS_IN_WORDS[run.config.execution.path]}"
        )
    if unsure := wired.exchange.mark_triggers.ambiguous:
        found.append(
            f"{unsure} times a mark candle may have triggered an order that came within it: "
            f"{PATHS_IN_WORDS[run.config.execution.path]}"
        )
    found += [
        f"the feed {feed.name} was not read: the strategy has no {hook}"
        for hook, topic in MARKET_HOOKS.items()
        for feed in run.feeds
        if feed.name.kind in RECORD_KINDS and RECORD_KINDS[feed.name.kind].topic is topic
        if not wired.bus.handlers[topic] and not _executes(run, feed.name)
    ]
    if early := wired.exchange.fills_before_warm:
        found.append(
            f"{early} fills were priced before slippage and impact knew {run.config.model_window} candles: they cost "
            "too little (execution.strict refuses such orders)"
        )
    if not_modelled := latency_not_modelled(run):
        found.append(not_modelled)
    if left_out := costs_not_sized(run.config):
        found.append(left_out)
    found += limit_warnings(run.config, run.rules, run.start)
    found += outside_warnings(run.config, run.start, run.end)
    if wired.guard is not None:
        found += [
            f"breaker {b.terms.name} tripped {b.trips} time{'' if b.trips == 1 else 's'} ({b.terms.action})"
            + ("" if b.state is State.ARMED else ", and was in force at the end")
            for b in wired.guard.breakers
            if b.trips
        ]
    found += [
        f"{i}: leverage was raised to {leverage}, and {lacking} known: the assumptions say what stands for that"
        for i, leverage in sorted(wired.exchange.margin_desk.highest.items())
        if leverage > 1 and run.margin.terms.leverage_of(i) == 1 and (lacking := _unknown(run, i))
    ]
    dropped = incomplete_dropped(wired)
    if dropped:
        found.append(f"{dropped} derived candles lacked parts and were not shown to the strategy")
    if (watch := wired.exchange.liquidator) is not None:
        found += [
            f"{i}: liquidated, {parts} time{'' if parts == 1 else 's'} (margin calls: {watch.calls[i]})"
            for i, parts in sorted(watch.liquidated.items())
        ]
    found += _paid_for_strategies(run, wired)
    found += options_warnings(run, wired.exchange.desk, wired.recorder.option_refusals)
    if wired.equity.stats.lowest_units <= 0:
        found.append("ruined: equity fell to zero or below")
    return found


def _unknown(run: PreparedRun, instrument: InstrumentId) -> str:
    """Return what leverage should have been judged by and the lake does not have, or nothing."""
    lacking = [] if instrument in run.margin.sources else ["no leverage table is"]
    lacking += [] if instrument in run.marks else ["no mark candles are"]
    return " and ".join(lacking)


def _executes(run: PreparedRun, name: FeedName) -> bool:
    """Say whether the exchange goes by a feed, so that it is read although no strategy hears it."""
    if name.kind == FUNDING_RATE.kind and run.funding is not None and name.instrument in run.instruments:
        return True
    tapes = {item.instrument: item.tape for item in run.series if item.tape}
    return name.instrument in tapes and name.kind in (tapes[name.instrument], BOOK_TICKER.kind)


def _feeds_for(hook: str) -> str:
    if hook == "on_chain":
        return " (name a chain among the symbols: --symbols option:BTCUSDT)"
    kinds = [kind for kind, record in RECORD_KINDS.items() if record.topic is MARKET_HOOKS[hook]]
    return f" (--feeds {' or '.join(kinds)})" if kinds else ""


def incomplete_dropped(wired: Wired) -> int:
    """Return how many derived candles lacked parts and were left out."""
    return sum(feed.incomplete_dropped for feed in wired.feeds if isinstance(feed, CandleFeed))


def breaker_trips(wired: Wired) -> dict[str, int]:
    """Return how often each breaker that was on has tripped."""
    return {b.terms.name: b.trips for b in wired.guard.breakers} if wired.guard is not None else {}


def _by_asset(wired: Wired, field: str) -> dict[str, int]:
    """Return one sum of the account per asset, all wallets together, 1e-8 of it."""
    found: dict[str, int] = {}
    for holding, account in wired.account.ledger.assets.items():
        asset = split_holding(holding)[1]
        found[asset] = found.get(asset, 0) + getattr(account, field)
    return found


def _final_state(run: PreparedRun, wired: Wired) -> dict[str, Any]:
    """Return balances, positions and open orders at the last tick, as exact text."""
    ledger = wired.account.ledger
    return {
        "cash": {asset: fixed(a.cash_units, MONEY_EXPONENT) for asset, a in sorted(ledger.assets.items())},
        "positions": {
            instrument: {
                "qty": fixed(position.qty_units, run.instruments[instrument].scale.qty),
                "basis": fixed(position.basis_units, MONEY_EXPONENT),
            }
            for instrument, position in sorted(ledger.positions.items())
        },
        "open_orders": sorted(order.order_id for order in (*wired.exchange.open_orders(), *wired.slicer.open_orders())),
    }


def _strategies_origin(run: PreparedRun) -> dict[str, Any]:
    """Return where the strategies came from: of several, under their ids, and what they share under `strategy`."""
    origins = [_origin(sleeve.found) for sleeve in run.sleeves]
    if not run.config.strategies:
        return {"strategy": origins[0]}
    found: dict[str, Any] = {"name": run.name}
    for kind in ("modules", "imported"):
        if together := {name: digest for one in origins for name, digest in one.get(kind, {}).items()}:
            found[kind] = together
    return {"strategy": found | {"parts": {s.id: one for s, one in zip(run.sleeves, origins, strict=True)}}}


def _origin(found: FoundStrategy) -> dict[str, Any]:
    """Return where a strategy came from, with a digest of each module that takes part and is not installed."""
    cls = found.cls
    origin: dict[str, Any] = {"name": found.name, "class": f"{cls.__module__}:{cls.__qualname__}"}
    if found.file is not None:
        origin["file"] = os.path.relpath(found.file)
        below = own_sources(found)
        beside = {p.as_posix(): p for p in modules_below(Path("/")).values() if p not in below.values()}
        origin["modules"] = {name: digest_of(path.read_bytes()) for name, path in below.items()}
        origin["imported"] = {name: digest_of(path.read_bytes()) for name, path in beside.items()}
    elif found.written:
        origin["modules"] = {name: digest_of(content) for name, content in found.written.items()}
    elif found.unrecorded:
        origin["unrecorded"] = found.unrecorded
    elif not cls.__module__.startswith("backtester."):
        source = Path(str(sys.modules[cls.__module__].__file__))
        origin["modules"] = {cls.__module__: digest_of(source.read_bytes())}
    return origin
