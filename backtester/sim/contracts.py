"""What a kind of contract is worth, costs and risks: the rules of linear and of inverse ones under the same names.

Quantities in 10^-q, prices in 10^-p, money in 1e-8 of what the contract settles in. Plain integers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from backtester.core.instruments import Instrument
from backtester.core.numbers import notional_of
from backtester.sim import funding, inverse, liquidation, sizing
from backtester.sim.brackets import BracketTable
from backtester.sim.liquidation import Band, Leg


class Linear(NamedTuple):
    """Its worth in quote money rises with the price: quantity × price / 10^shift."""

    shift: int

    @property
    def gain(self) -> int:
        """The sign of a long's profit when the worth rises."""
        return 1

    def worth(self, qty: int, price: int) -> int:
        """Return what a quantity is worth, half-even; signed as it is."""
        return notional_of(qty, price, self.shift)

    def cost(self, qty: int, price: int, fee_rate: int) -> int:
        """Return worth plus fee of a quantity > 0."""
        return sizing.cost_of(qty, price, fee_rate, self.shift)

    def lots_for(self, budget: int, price: int, lot: int, fee_rate: int) -> int:
        """Return the largest quantity, a multiple of `lot`, whose worth plus fee fits a budget."""
        return sizing.lots_for_budget(budget, price, lot, fee_rate, self.shift)

    def surplus(self, legs: Sequence[Leg], mark: int, table: BracketTable) -> int:
        """Return what an instrument adds to the margin: see `sim.liquidation`."""
        return liquidation.margin_surplus(legs, mark, self.shift, table)

    def band(self, wallet: int, legs: Sequence[Leg], table: BracketTable) -> Band:
        """Return the marks that liquidate: see `sim.liquidation`."""
        return liquidation.liquidation_band(wallet, legs, self.shift, table)

    def reduction(self, qty: int, mark: int, lot: int, table: BracketTable) -> int:
        """Return how much of a position leaves it in the next lower bracket: see `sim.liquidation`."""
        return liquidation.reduction_to_lower_bracket(qty, mark, self.shift, lot, table)

    def payment(self, qty: int, mark: int, rate: int) -> int:
        """Return what funding adds to the wallet of a position: see `sim.funding`."""
        return funding.linear_payment(qty, mark, rate, self.shift)


class Inverse(NamedTuple):
    """Its worth in coin falls as the price rises: quantity × unit / price."""

    unit: int

    @property
    def gain(self) -> int:
        """The sign of a long's profit when the worth rises."""
        return -1

    def worth(self, qty: int, price: int) -> int:
        """Return what a quantity is worth, half-even; signed as it is."""
        return inverse.coin_of(qty, price, self.unit)

    def cost(self, qty: int, price: int, fee_rate: int) -> int:
        """Return worth plus fee of a quantity > 0."""
        return inverse.cost_of(qty, price, fee_rate, self.unit)

    def lots_for(self, budget: int, price: int, lot: int, fee_rate: int) -> int:
        """Return the largest quantity, a multiple of `lot`, whose worth plus fee fits a budget."""
        return inverse.lots_for_budget(budget, price, lot, fee_rate, self.unit)

    def surplus(self, legs: Sequence[Leg], mark: int, table: BracketTable) -> int:
        """Return what an instrument adds to the margin: see `sim.inverse`."""
        return inverse.margin_surplus(legs, mark, self.unit, table)

    def band(self, wallet: int, legs: Sequence[Leg], table: BracketTable) -> Band:
        """Return the marks that liquidate: see `sim.inverse`."""
        return inverse.liquidation_band(wallet, legs, self.unit, table)

    def reduction(self, qty: int, mark: int, lot: int, table: BracketTable) -> int:
        """Return how much of a position leaves it in the next lower bracket: see `sim.inverse`."""
        return inverse.reduction_to_lower_bracket(qty, mark, self.unit, lot, table)

    def payment(self, qty: int, mark: int, rate: int) -> int:
        """Return what funding adds to the wallet of a position: see `sim.funding`."""
        return funding.inverse_payment(qty, mark, rate, self.unit)


Terms = Linear | Inverse


def terms_of(spec: Instrument, price_exponent: int | None = None) -> Terms:
    """Return the rules of an instrument; price_exponent: of the prices that they take, if not the instrument's own."""
    p, q = spec.scale.price if price_exponent is None else price_exponent, spec.scale.qty
    if spec.is_inverse:
        return Inverse(inverse.contract_unit(spec.contract_units, p, q))
    return Linear(spec.shift + p - spec.scale.price)
