"""Positions in futures and what secures each: its own margin, or with others the rest of a wallet."""

from collections.abc import Mapping

from backtester.core.board import Board
from backtester.core.folds import Ledger
from backtester.core.funds import pledged_units
from backtester.core.instruments import Holding, InstrumentId, sides_of
from backtester.core.numbers import CEIL, mul_div
from backtester.core.timeline import Timeline
from backtester.execution.insurance import InsuranceFund
from backtester.sim.brackets import BracketTable, maintenance_margin
from backtester.sim.contracts import terms_of
from backtester.sim.liquidation import Leg


class SecuredPositions:
    """Reads the exchange's own ledger, and changes nothing. Money in 1e-8, prices 10^-p.

    sides: the positions that each listed instrument may have.
    """

    def __init__(
        self,
        ledger: Ledger,
        brackets: Mapping[InstrumentId, Timeline[BracketTable]],
        insurance: InsuranceFund,
        board: Board,
    ) -> None:
        """insurance: what it promised counts as money of the wallet."""
        sides = {spec.listed: sides_of(ledger.instruments, spec.listed) for spec in ledger.instruments.values()}
        self.sides = {listed: tuple(spec.id for spec in found) for listed, found in sides.items()}
        self._ledger = ledger
        self._brackets = brackets
        self._insurance = insurance
        self._board = board

    def positions(self) -> list[InstrumentId]:
        """Return the positions with margin, in order."""
        return sorted(i for i in self._ledger.positions if self._ledger.instruments[i].is_margined)

    def listed(self, held: list[InstrumentId]) -> list[InstrumentId]:
        """Return on which markets positions are, in order."""
        return list(dict.fromkeys(self._ledger.instruments[i].listed for i in held))

    def crossed(self, asset: Holding | None = None) -> list[InstrumentId]:
        """Return what is held with cross margin; asset: only what this one of a wallet secures."""
        specs = self._ledger.instruments
        held = [i for i in self.positions() if i in self._ledger.margin.cross]
        return held if asset is None else [i for i in held if specs[i].cash == asset]

    def cross_assets(self) -> list[Holding]:
        """Return what secures positions with cross margin: assets of wallets."""
        return sorted({self._ledger.instruments[i].cash for i in self.crossed()})

    def secured(self, held: list[InstrumentId]) -> list[tuple[list[InstrumentId], int]]:
        """Return what is held in groups that stand for each other, each with the money that secures it."""
        groups = [([i], self.isolated_wallet(i)) for i in held if i not in self._ledger.margin.cross]
        crossed: dict[Holding, list[InstrumentId]] = {}
        for instrument in held:
            if instrument in self._ledger.margin.cross:
                crossed.setdefault(self._ledger.instruments[instrument].cash, []).append(instrument)
        return groups + [(group, self.cross_wallet(asset)) for asset, group in crossed.items()]

    def isolated_wallet(self, instrument: InstrumentId) -> int:
        """Return what secures an isolated position: its margin, less its share of what free cash could not pay."""
        asset = self._ledger.instruments[instrument].cash
        margins = {i: self._ledger.margin_of(i) for i in self._alone(asset)}
        lacking = max(0, sum(margins.values()) - self._cash(asset))
        own = margins[instrument]
        return max(0, own - (mul_div(lacking, own, sum(margins.values()), CEIL) if lacking else 0))

    def _alone(self, asset: Holding) -> list[InstrumentId]:
        crossed = self._ledger.margin.cross
        return [i for i in self.positions() if i not in crossed and self._ledger.instruments[i].cash == asset]

    def cross_wallet(self, asset: Holding, *, whole: bool = False) -> int:
        """Return what secures positions together; whole: what there is to lose, not only what counts of collateral."""
        margins = sum(self._ledger.margin_of(i) for i in self._alone(asset))
        pledged = pledged_units(self._ledger, self._board.price_units, asset, whole=whole)
        return self._cash(asset) - margins + pledged

    def legs(self, listed: InstrumentId, asset: Holding) -> list[Leg]:
        """Return what is held of an instrument among what an asset secures together: one position, or its sides."""
        positions, specs, crossed = self._ledger.positions, self._ledger.instruments, self._ledger.margin.cross
        own = [i for i in self.sides[listed] if i in positions and i in crossed and specs[i].cash == asset]
        return [Leg(positions[i].qty_units, positions[i].basis_units) for i in own]

    def surplus(self, listed: InstrumentId, asset: Holding, price: int, ts: int) -> int:
        """Return what an instrument's positions have at a price beyond what they must keep"""
        terms = terms_of(self._ledger.instruments[listed])
        return terms.surplus(self.legs(listed, asset), price, self._brackets[listed].at(ts))

    def maintenance(self, instrument: InstrumentId, price: int, ts: int) -> int:
        """Return what a position must keep at a price"""
        spec, qty = self._ledger.instruments[instrument], abs(self._ledger.position(instrument).qty_units)
        return maintenance_margin(self._brackets[instrument].at(ts), spec.notional_units(qty, price))

    def _cash(self, asset: Holding) -> int:
        return self._ledger.asset(asset).cash_units + self._insurance.promised[asset]
