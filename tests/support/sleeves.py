"""Several strategies in one run, and each of them alone with what its share brings it."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from backtester.config.configs import BacktestConfig, StrategySection
from backtester.config.portfolio import StrategyEntry
from backtester.engine.prepare import prepare
from backtester.engine.sleeves import Sleeve
from backtester.strategy import registry
from backtester.strategy.base import Strategy
from tests.support import inline
from tests.support.runs import Ran, config_of, run_prepared


class Part(NamedTuple):
    """One of several strategies. cls: a class, or the name of one that ships."""

    id: str
    cls: type[Strategy] | str
    share: Decimal | str
    symbols: Sequence[str] = ()
    timeframe: str = ""
    params: dict[str, Any] | None = None


def registered(part: Part) -> str:
    """Return the name under which the registry knows a part's class."""
    if isinstance(part.cls, str):
        return part.cls
    name = f"inline_{part.id}"
    registry.BUILT_IN[name] = f"tests.support.inline:{name}"
    setattr(inline, name, part.cls)
    return name


def several(lake: Path, parts: Sequence[Part], symbols: Sequence[str], **sections: Any) -> BacktestConfig:
    """Return the config of a run of several strategies over a market without costs."""
    entries = tuple(
        StrategyEntry.model_validate(
            {
                "id": part.id,
                "name": registered(part),
                "symbols": tuple(part.symbols),
                "timeframe": part.timeframe,
                "share": Decimal(part.share),
                "params": part.params,
            }
        )
        for part in parts
    )
    config = config_of(lake, list(symbols), **sections)
    return config.model_copy(update={"strategy": StrategySection(), "strategies": entries})


def run_several(folder: Path, lake: Path, parts: Sequence[Part], symbols: Sequence[str], **sections: Any) -> Ran:
    """Run several strategies together."""
    return run_prepared(folder, prepare(several(lake, parts, symbols, **sections)))


def run_alone(folder: Path, lake: Path, part: Part, symbols: Sequence[str], together: Ran, **sections: Any) -> Ran:
    """Run one of the strategies of a run alone, with the money and the seed that it had there."""
    own = next(sleeve for sleeve in together.prepared.sleeves if sleeve.id == part.id)
    config = config_of(lake, list(part.symbols or symbols), **sections)
    wallets = {
        name.replace(f"@{part.id}:", ":"): amount
        for name, amount in together.prepared.config.account.wallets.items()
        if f"@{part.id}:" in name
    }
    alone = config.model_copy(
        update={
            "run": config.run.model_copy(
                update={"timeframe": part.timeframe or config.run.timeframe, "seed": seed_of(own, config.run.seed)}
            ),
            "strategy": StrategySection(name=registered(part), params=part.params or {}),
            "account": config.account.model_copy(update={"wallets": wallets}),
        }
    )
    return run_prepared(folder, prepare(alone))


def seed_of(sleeve: Sleeve, seed: int) -> int:
    """Return what a strategy draws from."""
    return sleeve.seed(seed)


def traded(ran: Ran, owner: str = "") -> list[tuple[Any, ...]]:
    """Everything that was executed, without the ids, which count all orders of a run."""
    columns = (
        "ts",
        "kind",
        "side",
        "qty",
        "price",
        "reference_price",
        "fee",
        "fee_asset",
        "liquidity",
        "leaves",
        "tag",
    )
    rows = [row for row in ran.table("fills") if not owner or row["strategy"] == owner]
    return [(row["instrument"].partition("@")[0], *(row[column] for column in columns)) for row in rows]


def ended(ran: Ran, owner: str = "") -> list[tuple[Any, ...]]:
    """What became of every order, in the order in which they ended."""
    columns = ("created", "ended", "kind", "side", "qty", "filled", "status", "reason")
    rows = [row for row in ran.table("orders") if not owner or row["strategy"] == owner]
    return sorted((row["instrument"].partition("@")[0], *(row[c] for c in columns)) for row in rows)


def held(ran: Ran, owner: str = "") -> tuple[dict[str, str], dict[str, Any]]:
    """Cash by wallet and positions at the end, of one strategy under the names that it has alone."""
    final, mark = ran.details["final"], f"@{owner}"
    if not owner:
        return {k: v for k, v in final["cash"].items() if Decimal(v)}, final["positions"]
    cash = {k.replace(mark, ""): v for k, v in final["cash"].items() if f"{mark}:" in k and Decimal(v)}
    return cash, {k.removesuffix(mark): v for k, v in final["positions"].items() if k.endswith(mark)}
