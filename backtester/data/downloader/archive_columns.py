"""How the archive writes each kind: columns by position and by name, and what must be derived from them.

Variants with fewer columns end earlier (aggTrades of futures lack the last of spot's), so position alone decides; what
is not named here is not kept.
"""

from collections.abc import Collection
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from backtester.data.schemas import EOH_SUMMARY, SCHEMAS, Column, Schema

_CANDLE: Final = ("open_time", "open", "high", "low", "close")
_INDEX_CANDLE: Final = (*_CANDLE, "volume", "close_time", "quote_volume", "samples")
POSITIONS: Final[dict[str, tuple[str, ...]]] = {
    "klines": (
        *_CANDLE,
        "volume",
        "close_time",
        "quote_volume",
        "trades",
        "taker_buy_volume",
        "taker_buy_quote_volume",
        "ignore",
    ),
    "markPriceKlines": _INDEX_CANDLE,
    "indexPriceKlines": _INDEX_CANDLE,
    "premiumIndexKlines": _INDEX_CANDLE,
    "aggTrades": ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "time", "is_buyer_maker"),
    "trades": ("trade_id", "price", "quantity", "quote_quantity", "time", "is_buyer_maker"),
    "bookTicker": (
        "update_id",
        "bid_price",
        "bid_quantity",
        "ask_price",
        "ask_quantity",
        "time",
        "event_time",
    ),
    "fundingRate": ("time", "interval_hours", "funding_rate"),
    "metrics": (
        "time",
        "symbol",
        "open_interest",
        "open_interest_value",
        "top_account_ratio",
        "top_position_ratio",
        "account_ratio",
        "taker_volume_ratio",
    ),
    "EOHSummary": (
        "date",
        "hour",
        "symbol",
        "underlying",
        "type",
        "strike",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "volume_usdt",
        "bid_price",
        "ask_price",
        "bid_quantity",
        "ask_quantity",
        "bid_iv",
        "ask_iv",
        "mark_price",
        "mark_iv",
        "delta",
        "gamma",
        "vega",
        "theta",
        "open_interest",
        "open_interest_value",
    ),
    "BVOLIndex": ("time", "symbol", "base_asset", "quote_asset", "index_value"),
}

_TIMES: Final = {"timestamp", "unix_timestamp", "date", "datetime", "unix", "ts", "epoch"}
_OTHER_NAMES: Final[dict[str, dict[str, set[str]]]] = {
    "aggTrades": {"time": {"transact_time", *_TIMES}, "quantity": {"qty"}, "agg_trade_id": {"id"}},
    "trades": {"trade_id": {"id"}, "quantity": {"qty"}, "quote_quantity": {"quote_qty", "base_qty"}, "time": _TIMES},
    "bookTicker": {
        "time": {"transaction_time", *_TIMES},
        "bid_price": {"best_bid_price"},
        "bid_quantity": {"best_bid_qty"},
        "ask_price": {"best_ask_price"},
        "ask_quantity": {"best_ask_qty"},
    },
    "fundingRate": {
        "time": {"calc_time", "funding_time", "fundingtime", "open_time", *_TIMES},
        "interval_hours": {"funding_interval_hours"},
        "funding_rate": {"last_funding_rate", "fundingrate", "rate"},
    },
    "metrics": {
        "time": {"create_time", *_TIMES},
        "open_interest": {"sum_open_interest"},
        "open_interest_value": {"sum_open_interest_value"},
        "top_account_ratio": {"count_toptrader_long_short_ratio"},
        "top_position_ratio": {"sum_toptrader_long_short_ratio"},
        "account_ratio": {"count_long_short_ratio"},
        "taker_volume_ratio": {"sum_taker_long_short_vol_ratio"},
    },
    "EOHSummary": {
        "volume": {"volume_contracts"},
        "bid_price": {"best_bid_price"},
        "ask_price": {"best_ask_price"},
        "bid_quantity": {"best_bid_qty"},
        "ask_quantity": {"best_ask_qty"},
        "bid_iv": {"best_buy_iv"},
        "ask_iv": {"best_sell_iv"},
        "open_interest": {"openinterest_contracts"},
        "open_interest_value": {"openinterest_usdt"},
    },
    "BVOLIndex": {"time": {"calc_time", *_TIMES}},
}
_CANDLE_NAMES: Final[dict[str, set[str]]] = {
    "open_time": {"opentime", "open_timestamp", "open_date", "time", "gmt_time", *_TIMES},
    "open": {"o", "open_price"},
    "high": {"h", "high_price"},
    "low": {"l", "low_price"},
    "close": {"c", "close_price"},
    "volume": {"v", "vol", "base_volume"},
    "quote_volume": {"quote_asset_volume", "quote_vol", "turnover"},
    "trades": {"count", "number_of_trades", "trade_count", "tradecount", "num_trades"},
    "samples": {"count"},
    "taker_buy_volume": {"taker_buy_base_asset_volume", "taker_buy_base_volume", "taker_base_volume"},
    "taker_buy_quote_volume": {"taker_buy_quote_asset_volume", "taker_quote_volume"},
}
HOLDS_SEVERAL_SYMBOLS: Final = frozenset({EOH_SUMMARY.kind})
_CONTRACT: Final = r"^\d{6}-\d+(\.\d+)?$"
_EXPIRY_HOUR: Final = "T08:00:00"


def other_names(kind: str, column: str) -> frozenset[str]:
    """Return by which names, apart from ours, a column of a kind is known."""
    names = _CANDLE_NAMES if SCHEMAS[kind].gridded else _OTHER_NAMES[kind]
    return frozenset(names.get(column, ()))


def source_columns(schema: Schema) -> tuple[Column, ...]:
    """Return the columns that a file of a kind must or may have, from which ours are made."""
    if schema.kind != EOH_SUMMARY.kind:
        return schema.columns
    parts = tuple(Column(name, "int64") for name in ("date", "hour", "type", "strike"))
    return (*parts, *schema.columns[schema.identity :])


def is_kept_as_text(schema: Schema, column: str, present: Collection[str]) -> bool:
    """Say whether a column of a file is text from which `ours_from` makes others."""
    return schema.kind == EOH_SUMMARY.kind and "date" in present and column in {"date", "hour", "type", "strike"}


def ours_from(schema: Schema, columns: dict[str, Any]) -> dict[str, Any]:
    """Return Arrow arrays by our column's name from those of the file.

    An option's contract is written as date and strike (`231229-34000`) and a letter; it expires at 08:00 UTC.
    """
    if schema.kind != EOH_SUMMARY.kind or "date" not in columns:
        return columns
    date, hour, strike, letter = (_text(columns[name]) for name in ("date", "hour", "strike", "type"))
    fits = pc.match_substring_regex(strike, _CONTRACT)
    day = pc.binary_join_element_wise(
        "20", pc.utf8_slice_codeunits(strike, 0, 2), "-", pc.utf8_slice_codeunits(strike, 2, 4), "-", ""
    )
    expiry = pc.binary_join_element_wise(day, pc.utf8_slice_codeunits(strike, 4, 6), _EXPIRY_HOUR, "")
    nothing = pa.scalar("", pa.string())
    is_call = pc.if_else(pc.equal(letter, "C"), "true", pc.if_else(pc.equal(letter, "P"), "false", letter))
    return {
        **{name: array for name, array in columns.items() if name in schema.names},
        "time": pc.binary_join_element_wise(date, "T", pc.utf8_lpad(hour, 2, "0"), ":00:00", ""),
        "expiry": pc.if_else(fits, expiry, nothing),
        "strike": pc.if_else(fits, pc.utf8_slice_codeunits(strike, 7), nothing),
        "is_call": is_call,
    }


def _text(array: Any) -> Any:
    return array if pa.types.is_string(array.type) else pc.cast(array, pa.string())
