"""The records of the market that the log names as causes: in words, and with their candle from the lake."""

from pathlib import Path
from typing import Any, NamedTuple

from backtester.core.errors import DataError
from backtester.core.instruments import InstrumentId, listed_id, split_id
from backtester.core.time import TIMEFRAMES, format_time, timeframe_us
from backtester.data.lake import Lake
from backtester.data.schemas import KLINES

_CLOCK = {
    "timerfired": "a timer that was set for {}",
    "expiry": "the clock at {}: orders that travel arrive, and the time of others is over",
    "dues": "the look at the account at {}",
    "chainrows": "the rows of the option chains at {}",
}


class CandleSeen(NamedTuple):
    """A candle as the lake has it; times in UTC µs. found: what is odd about it, or empty."""

    instrument: str
    timeframe: str
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    odd: str

    @property
    def words(self) -> str:
        """All of it on one line."""
        prices = ", ".join(f"{name} {number(getattr(self, name))}" for name in ("open", "high", "low", "close"))
        return f"{prices}, volume {number(self.volume)}" + (f" ({self.odd})" if self.odd else "")


class Cause(NamedTuple):
    """A named record of the market. time: of a candle its open, else when it was."""

    kind: str
    instrument: str
    timeframe: str
    time: int

    @property
    def is_market(self) -> bool:
        """Whether it is data of an instrument, not a moment of the clock."""
        return bool(self.instrument)

    @property
    def words(self) -> str:
        """What it was."""
        if self.kind == "candle":
            closed = format_time(self.time + timeframe_us(self.timeframe)) if self.timeframe in TIMEFRAMES else "?"
            return f"the {self.timeframe} candle of {self.instrument} that closed at {closed}"
        if self.kind == "open":
            return f"the open of {self.instrument} at {format_time(self.time)}"
        if self.kind == "trade":
            return f"trade {self.time} on the tape of {self.instrument}"
        if self.instrument:
            span = f"{self.timeframe} " if self.timeframe else ""
            return f"the {span}{self.kind} of {self.instrument} at {format_time(self.time)}"
        return _CLOCK.get(self.kind, self.kind + " at {}").format(format_time(self.time))


def parsed_cause(text: str) -> Cause:
    """Return what the name of a market record, or of a moment of the clock, says."""
    head, *middle, last = text.split("/")
    time = int(last) if last.lstrip("-").isdigit() else 0
    if ":" not in head:
        return Cause(head, "", "", time)
    kind = middle[0] if middle else ""
    return Cause(kind, head, middle[1] if len(middle) > 1 else "", time)


class Market:
    """The candles of a run, as far as the lake still has them."""

    def __init__(self, folder: Path, recorded: list[dict[str, Any]]) -> None:
        """folder: the lake; recorded: the partitions that the run read, as in run.json."""
        self._contents = {one["path"]: one["content"] for one in recorded}
        self._folder = folder
        self._lake: Lake | None = None
        self._stored: dict[tuple[str, str], list[str]] = {}
        for path in self._contents:
            market, kind, symbol, timeframe, *_ = Path(path).parts
            if kind == KLINES.kind:
                stored = self._stored.setdefault((market, symbol), [])
                if timeframe not in stored:
                    stored.append(timeframe)

    def candle(self, cause: Cause) -> CandleSeen | str:
        """Return the candle of a cause, of an open the one that began there; or why it cannot be shown."""
        market, symbol = split_id(listed_id(InstrumentId(cause.instrument)))
        stored = sorted(self._stored.get((market, symbol), []), key=timeframe_us)
        if not stored or (cause.kind == "candle" and cause.timeframe not in TIMEFRAMES):
            return "its candle is not among the run's data"
        timeframe = cause.timeframe or stored[0]
        fitting = [name for name in stored if timeframe_us(timeframe) % timeframe_us(name) == 0]
        if not fitting:
            return "its candle is not among the run's data"
        try:
            return self._read(market, symbol, fitting[-1], timeframe, cause.time)
        except DataError as error:
            return f"its candle cannot be shown: {error.message}"

    def _read(self, market: str, symbol: str, stored: str, timeframe: str, time: int) -> CandleSeen | str:
        if self._lake is None:
            self._lake = Lake(self._folder)
        end = time + timeframe_us(timeframe)
        rows = [
            row
            for batch in self._lake.read_candles(market, symbol, stored, time, end)
            for row in zip(batch.open, batch.high, batch.low, batch.close, batch.volume, strict=True)
        ]
        if not rows:
            return f"{self._folder} has no candle there"
        now = self._lake.partitions(market, KLINES.kind, symbol, stored, time, end)
        changed = any(self._contents.get(one.path) != one.content for one in now)
        opens, highs, lows, closes, volumes = (tuple(float(x) for x in column) for column in zip(*rows, strict=True))
        return CandleSeen(
            f"{market}:{symbol}",
            timeframe,
            time,
            opens[0],
            max(highs),
            min(lows),
            closes[-1],
            sum(volumes),
            "the lake has changed since the run" if changed else "",
        )


def number(value: float) -> str:
    """Return a float as people write it."""
    return f"{value:.10g}"
