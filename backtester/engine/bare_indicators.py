"""SMA, EMA, RSI and ATR in one bare Python loop: what the language itself takes, beside which indicators are judged."""

from collections.abc import Iterable
from typing import Final

WINDOWS: Final = {"sma": 50, "ema": 20, "rsi": 14, "atr": 14}


def bare_indicators(rows: Iterable[tuple[float, float, float]], decimals: int) -> tuple[float | None, ...]:
    """Return the last values over rows of high, low and close; the same numbers as the indicators, to the bit.

    Nothing is checked, nothing can be asked in between, and each is worked out for all rows, warm or not.
    """
    sma_window, ema_window, rsi_window, atr_window = WINDOWS.values()
    units_of_one, divisor = 10**decimals, (ema_window + 1) / 2
    scale = float(units_of_one)
    ring = [0] * sma_window
    at = total = seen = 0
    mean = gain = loss = reach = last = 0.0
    for high, low, close in rows:
        units = round(close * scale)
        total += units - ring[at]
        ring[at] = units
        at = at + 1 if at + 1 < sma_window else 0
        seen += 1
        mean += (close - mean) / (seen if seen <= ema_window else divisor)
        if seen > 1:
            change, changes = close - last, seen - 1
            share = changes if changes <= rsi_window else rsi_window
            gain += ((change if change > 0.0 else 0.0) - gain) / share
            loss += ((-change if change < 0.0 else 0.0) - loss) / share
            top, bottom = high if high > last else last, low if low < last else last
            reach += (top - bottom - reach) / (changes if changes <= atr_window else atr_window)
        last = close
    moved = gain + loss
    return (
        total / (sma_window * units_of_one) if seen >= sma_window else None,
        mean if seen >= ema_window else None,
        (100.0 * (gain / moved) if moved > 0.0 else 50.0) if seen > rsi_window else None,
        reach if seen > atr_window else None,
    )
