"""Answers of the venue as it writes them, made by hand, with a date."""

import json
from pathlib import Path
from typing import Any

from backtester.core.time import parse_time
from backtester.data.rules.importing import Source, import_rules


def spot_symbol(symbol: str = "BTCUSDT", **rules: str) -> dict[str, Any]:
    """A spot symbol; tick, lot, min_qty, max_qty, market_max_qty and min_notional can be set."""
    price = {"minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": rules.get("tick", "0.01000000")}
    lot = rules.get("lot", "0.00100000")
    quantity = {"minQty": rules.get("min_qty", lot), "maxQty": rules.get("max_qty", "9000.00"), "stepSize": lot}
    market = {"minQty": "0.00000000", "maxQty": rules.get("market_max_qty", "120.5"), "stepSize": "0.00000000"}
    notional = {
        "minNotional": rules.get("min_notional", "5.00000000"),
        "applyMinToMarket": True,
        "maxNotional": "9000000.00000000",
        "applyMaxToMarket": False,
        "avgPriceMins": 5,
    }
    return {
        "symbol": symbol,
        "status": rules.get("status", "TRADING"),
        "baseAsset": symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", **price},
            {"filterType": "LOT_SIZE", **quantity},
            {"filterType": "MARKET_LOT_SIZE", **market},
            {"filterType": "NOTIONAL", **notional},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
    }


def exchange_info(date: str, *symbols: dict[str, Any], key: str = "symbols") -> dict[str, Any]:
    """exchangeInfo of a date; spot:BTCUSDT unless symbols are given."""
    listed = list(symbols) or [spot_symbol()]
    return {"timezone": "UTC", "serverTime": parse_time(date) // 1000, "rateLimits": [], key: listed}


def source(content: object, name: str = "answer.json") -> Source:
    """An answer as bytes with a name."""
    return Source(name, json.dumps(content).encode())


def put_rules(lake: Path, *answers: object, date: str = "") -> None:
    """Import answers into a lake."""
    sources = [source(answer, f"answer-{number}.json") for number, answer in enumerate(answers)]
    import_rules(sources, lake, date=parse_time(date) if date else None)


CM_SYMBOL: dict[str, Any] = {
    "symbol": "BTCUSD_PERP",
    "pair": "BTCUSD",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1597042800000,
    "contractStatus": "TRADING",
    "contractSize": 100,
    "marginAsset": "BTC",
    "baseAsset": "BTC",
    "quoteAsset": "USD",
    "liquidationFee": "0.015000",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "1000", "maxPrice": "4520958", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "1000000", "stepSize": "1"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "1", "maxQty": "60000", "stepSize": "1"},
    ],
}

OPTION_SYMBOL: dict[str, Any] = {
    "symbol": "BTC-251226-100000-C",
    "underlying": "BTCUSDT",
    "side": "CALL",
    "strikePrice": "100000",
    "expiryDate": 1766736000000,
    "unit": 1,
    "quoteAsset": "USDT",
    "initialMargin": "0.15",
    "maintenanceMargin": "0.075",
    "minInitialMargin": "0.1",
    "minMaintenanceMargin": "0.05",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "5", "maxPrice": "80000", "tickSize": "5"},
        {"filterType": "LOT_SIZE", "minQty": "0.01", "maxQty": "100", "stepSize": "0.01"},
    ],
}

FUNDING_INFO: list[dict[str, Any]] = [
    {
        "symbol": "LPTUSDT",
        "adjustedFundingRateCap": "0.02000000",
        "adjustedFundingRateFloor": "-0.02000000",
        "fundingIntervalHours": 4,
        "disclaimer": False,
    }
]

UM_BRACKETS: list[dict[str, Any]] = [
    {
        "symbol": "ETHUSDT",
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": 1,
                "initialLeverage": 75,
                "notionalCap": 10000,
                "notionalFloor": 0,
                "maintMarginRatio": 0.0065,
                "cum": 0.0,
            },
            {
                "bracket": 2,
                "initialLeverage": 50,
                "notionalCap": 50000,
                "notionalFloor": 10000,
                "maintMarginRatio": 0.01,
                "cum": 35.0,
            },
        ],
    }
]

CM_BRACKETS: list[dict[str, Any]] = [
    {
        "symbol": "BTCUSD_PERP",
        "brackets": [
            {
                "bracket": 1,
                "initialLeverage": 125,
                "qtyCap": 5,
                "qtylFloor": 0,
                "maintMarginRatio": 0.004,
                "cum": 0.0,
            }
        ],
    }
]
