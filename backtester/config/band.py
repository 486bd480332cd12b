"""The assumption band: what the pessimistic and the optimistic run assume instead of the config.

The base is the config itself, unchanged. The two ends change what candles leave open, never what is known (fees, rules,
data), unless `[band.pessimistic]` or `[band.optimistic]` says more.
"""

from decimal import Decimal
from typing import Any, Final

from backtester.config.configs import BacktestConfig, BandSection
from backtester.config.loading import Layer, merged, validated

PESSIMISTIC: Final = "pessimistic"
BASE: Final = "base"
OPTIMISTIC: Final = "optimistic"
BAND: Final = (PESSIMISTIC, BASE, OPTIMISTIC)

_MOST_BPS: Final = Decimal(9_999)


def changes(config: BacktestConfig) -> dict[str, Layer]:
    """Return what each end changes of a config by default: the table of docs/fills.md."""
    bps = config.slippage.bps
    return {
        PESSIMISTIC: {
            "execution": {"path": "pessimistic", "touch_fills": False},
            "slippage": {"bps": max(bps, min(2 * bps + 1, _MOST_BPS))},
        },
        OPTIMISTIC: {
            "execution": {"path": "optimistic", "touch_fills": True},
            "slippage": {"bps": Decimal(0)},
        },
    }


def band_configs(config: BacktestConfig) -> dict[str, BacktestConfig]:
    """Return the three configs by name, from pessimistic to optimistic.

    Raises:
        UsageError: what the config says of an end makes no config together with the rest.
    """
    found = {BASE: config}
    plain = config.model_dump() | {"band": BandSection().model_dump()}
    for name, layer in changes(config).items():
        own = getattr(config.band, name).model_dump()
        found[name] = validated(BacktestConfig, merged(plain, merged(layer, own)), where=f"band.{name}")
    return {name: found[name] for name in BAND}


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
