"""From the keywords of `bt.run` to a config: the same files, defaults and messages as on the command line."""

import difflib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypedDict

from backtester.config.configs import BacktestConfig
from backtester.config.loading import Layer, load_backtest_config, merged, risk_layers, with_strategy
from backtester.core.errors import UsageError

When = str | date | datetime
"""An instant in UTC: text as on the command line, a date, or a datetime (one without a zone is UTC)."""

_OWN_KEYWORDS = ("run", "strategy", "data", "risk")


class Sections(TypedDict, total=False):
    """Sections of the config by name, each with the keys of docs/config.md; what is left out has its default."""

    strategies: Sequence[Mapping[str, Any]]
    portfolio: Mapping[str, Any]
    account: Mapping[str, Any]
    fees: Mapping[str, Any]
    slippage: Mapping[str, Any]
    impact: Mapping[str, Any]
    execution: Mapping[str, Any]
    futures: Mapping[str, Any]
    options: Mapping[str, Any]
    control: Sequence[Mapping[str, Any]]
    sizing: Mapping[str, Any]
    instruments: Mapping[str, Mapping[str, Any]]
    band: Mapping[str, Any]
    report: Mapping[str, Any]


def config_of(
    config: str | Path | Mapping[str, Any] | None,
    strategy: str,
    run: Mapping[str, Any],
    data: str | Path | Mapping[str, Any] | None,
    risk: str | Path | Mapping[str, Any] | None,
    sections: Mapping[str, Any],
) -> BacktestConfig:
    """Return the config with everything that was given laid over it.

    Args:
        config: a TOML file, or what one would hold; None: configs/backtest.toml where it exists.
        strategy: its name; empty: that of the config.
        run: keys of `[run]`; empty ones do not count.
        data: the folder of the lake, or keys of `[data]`.
        risk: a TOML file of limits, or keys of `[risk]`.
        sections: other sections by name.

    Raises:
        UsageError: a file cannot be read, or a key or a value is wrong.
    """
    known = [name for name in BacktestConfig.model_fields if name not in _OWN_KEYWORDS]
    for name in sections:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"bt.run has no {name!r}", hint=f"{meant}sections of the config: {', '.join(known)}")
    over: Layer = {"run": {key: value for key, value in run.items() if value not in (None, "", ())}, **sections}
    if data is not None:
        over["data"] = data if isinstance(data, Mapping) else {"dir": str(data)}
    is_file = isinstance(risk, str | Path)
    below, limits = risk_layers(Path(risk) if is_file else None)  # type: ignore[arg-type]
    if isinstance(risk, Mapping):
        limits = {"risk": risk}
    source = Path(config) if isinstance(config, str) else config
    return with_strategy(load_backtest_config(source, merged(limits, over), below=below), strategy)


def symbols_of(symbols: str | Sequence[str]) -> tuple[str, ...]:
    """Return symbols given as one text, with commas or spaces, or as several."""
    if isinstance(symbols, str):
        return tuple(symbols.replace(",", " ").split())
    return tuple(symbols)


def time_text(when: When | None) -> str:
    """Return an instant as text for the config; empty for none."""
    if when is None:
        return ""
    return when if isinstance(when, str) else when.isoformat()
