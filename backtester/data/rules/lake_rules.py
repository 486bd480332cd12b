"""Looking up what a lake knows of a venue's rules: at a time, the last version with date <= time, else the first."""

from decimal import Decimal
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar, cast

from backtester.core.instruments import split_id
from backtester.core.timeline import Timeline
from backtester.data.rules.store import FOLDER, Sighting, StoredRules, StoredVersion
from backtester.data.rules.values import Brackets, FeeRates, FundingTerms, SymbolRules, Value

V = TypeVar("V", bound=Value)

_SHA256_SHOWN = 16


class Dated(NamedTuple, Generic[V]):
    """A value, from when on it is known to hold (UTC µs), and who says so."""

    date: int
    value: V
    source: str


class LakeRules:
    """The rules that a lake has, read only: the file of a market is read when its first instrument is asked for.

    Times are UTC µs. A look-up returns None when the lake knows nothing of that kind.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._markets: dict[str, StoredRules] = {}

    def markets(self) -> list[str]:
        """Return the markets of which anything is known, sorted."""
        return sorted(path.stem for path in (self._root / FOLDER).glob("*.jsonl"))

    def market(self, market: str) -> StoredRules:
        """Return all that is known of a market.

        Raises:
            DataError: its file is damaged.
        """
        if market not in self._markets:
            self._markets[market] = StoredRules(self._root, market)
        return self._markets[market]

    def versions(self, instrument: str) -> list[StoredVersion]:
        """Return all that is known of an instrument, by kind and date."""
        market, symbol = split_id(instrument)
        return self.market(market).versions(symbol)

    def history(self, instrument: str, of: type[V]) -> list[Dated[V]]:
        """Return the versions of one kind, by date; empty when the lake knows none."""
        found = [version for version in self.versions(instrument) if isinstance(version.value, of)]
        return [Dated(v.date, cast(V, v.value), _source(v.seen[0])) for v in found]

    def symbol_at(self, instrument: str, time: int) -> SymbolRules | None:
        """Return how exchangeInfo listed an instrument."""
        return self._at(instrument, SymbolRules, time)

    def contract_size_at(self, instrument: str, time: int) -> Decimal | None:
        """Return what one unit of quantity stands for; see `SymbolRules.contract_size`."""
        rules = self.symbol_at(instrument, time)
        return None if rules is None else rules.contract_size

    def brackets_at(self, instrument: str, time: int) -> Brackets | None:
        """Return an instrument's leverage table."""
        return self._at(instrument, Brackets, time)

    def fees_at(self, instrument: str, time: int) -> FeeRates | None:
        """Return what our account pays."""
        return self._at(instrument, FeeRates, time)

    def funding_at(self, instrument: str, time: int) -> FundingTerms | None:
        """Return interval, cap and floor; None also means the venue's standard, of which fundingInfo says nothing."""
        return self._at(instrument, FundingTerms, time)

    def funding_interval_at(self, instrument: str, time: int) -> int | None:
        """Return hours between two funding times; None as in `funding_at`."""
        terms = self.funding_at(instrument, time)
        return None if terms is None else terms.interval_hours

    def _at(self, instrument: str, of: type[V], time: int) -> V | None:
        found = self.history(instrument, of)
        return Timeline((one.date, one.value) for one in found).at(time) if found else None


def _source(seen: Sighting) -> str:
    return f"{seen.file} (sha256 {seen.sha256[:_SHA256_SHOWN]})"
