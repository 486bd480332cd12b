"""The assumption band: what the pessimistic and the optimistic run assume instead of the config.

The base is the config itself, unchanged. The two ends change what candles leave open, never what is known (fees, rules,
data), unless `[band.pessimistic]` or `[band.optimistic]` says more.
"""

from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from backtester.config.configs import BacktestConfig, BandSection
from backtester.config.loading import Layer, merged, validated

PESSIMISTIC: Final = "pessimistic"
BASE: Final = "base"
OPTIMISTIC: Final = "optimistic"
BAND: Final = (PESSIMISTIC, BASE, OPTIMISTIC)

_MOST_BPS: Final = Decimal(9_999)
_LEAST_SHARE: Final = Decimal("0.00000001")
_USUAL_SHARE: Final = Decimal("0.1")


def changes(config: BacktestConfig) -> dict[str, Layer]:
    """Return what each end changes of a config by default: the table of docs/fills.md."""
    slippage, impact, execution = config.slippage, config.impact, config.execution
    share = execution.participation
    worse: Layer = {
        "execution": {
            "path": "pessimistic",
            "touch_fills": False,
            "participation": max(_half(share, 8), _LEAST_SHARE) if share else _USUAL_SHARE,
        },
        "slippage": {"bps": max(slippage.bps, min(2 * slippage.bps + 1, _MOST_BPS))},
    }
    better: Layer = {
        "execution": {"path": "optimistic", "touch_fills": True, "participation": Decimal(1) if share else share},
        "slippage": {"bps": Decimal(0)},
    }
    used = {
        "slippage.volatility": slippage.model == "spread_volatility",
        "slippage.volume_impact": slippage.model == "volume_share",
        "impact.coefficient": impact.model != "none",
        "execution.latency_ms": execution.latency_ms > 0,
        "execution.latency_jitter_ms": execution.latency_jitter_ms > 0,
    }
    for name in (key for key, is_used in used.items() if is_used):
        section, _, key = name.partition(".")
        value = getattr(getattr(config, section), key)
        worse.setdefault(section, {})[key] = 2 * value
        better.setdefault(section, {})[key] = _half(value, 3 if section == "execution" else 8)
    return {PESSIMISTIC: worse, OPTIMISTIC: better}


def _half(value: Decimal, decimals: int) -> Decimal:
    return (value / 2).quantize(Decimal(1).scaleb(-decimals), ROUND_DOWN).normalize() + 0


def band_configs(config: BacktestConfig) -> dict[str, BacktestConfig]:
    """Return the three configs by name, from pessimistic to optimistic.

    Raises:
        UsageError: what the config says of an end makes no config together with the rest.
    """
    found = {BASE: config}
    plain = config.model_dump() | {"band": BandSection().model_dump()}
    for name, layer in changes(config).items():
        own = getattr(config.band, name).model_dump()
        content = merged(plain, merged(layer, own))
        content["fees"] = _fees_of_all(content["fees"], own.get("fees", {}))
        found[name] = validated(BacktestConfig, content, where=f"band.{name}")
    return {name: found[name] for name in BAND}


def _fees_of_all(fees: Layer, said: Layer) -> Layer:
    """Return fees in which the rates that an end says hold for every market, but those that it names."""
    rates = {key: said[key] for key in ("maker_bps", "taker_bps") if said.get(key) is not None}
    named = said.get("markets", {})
    markets = {market: own if market in named else merged(own, rates) for market, own in fees["markets"].items()}
    return {**fees, "markets": markets}


def differences(configs: dict[str, BacktestConfig]) -> dict[str, dict[str, Any]]:
    """Return the values of every key in which the three configs differ, by dotted key and name."""
    flat = {name: _flat(config.model_dump(mode="json", exclude={"band"})) for name, config in configs.items()}
    keys = sorted({key for values in flat.values() for key in values})
    rows = {key: {name: values.get(key) for name, values in flat.items()} for key in keys}
    return {key: row for key, row in rows.items() if any(row[BASE] != value for value in row.values())}


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
