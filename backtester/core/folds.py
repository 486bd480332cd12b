"""Pure folds: what fills and cashflows make of positions and balances.

Account, risk, execution and the strategy's view each keep a Ledger of their own and feed it the same events,
so all of them are current before a strategy decides, and nobody asks anybody.
"""

from collections.abc import Mapping

import msgspec

from backtester.core.events import Cashflow, Fill, Side
from backtester.core.instruments import Holding, Instrument, InstrumentId, holding_of, split_holding, split_sleeve
from backtester.core.margin import FULL, MarginTerms
from backtester.core.margin_events import MarginMode, MarginTermsSet
from backtester.core.numbers import FLOOR, fixed, mul_div
from backtester.core.valuation import PLAIN, Valuation


class Position(msgspec.Struct, frozen=True):
    """A signed quantity (10^-q) and its signed cost basis (1e-8 of the asset it settles in): both > 0 long, < 0 short,
    0 flat.
    """

    qty_units: int = 0
    basis_units: int = 0


FLAT = Position()


def position_after(position: Position, signed_qty: int, notional: int, gain: int = 1) -> tuple[Position, int]:
    """Return the position after a fill, and the profit that the fill realised, in the money of the notional.

    A partial close releases floor(basis × closed / held), the last close releases the rest; a fill through zero
    closes what is held with its share of the notional (floor) and opens the other side with what is left.

    Args:
        position: before the fill.
        signed_qty: > 0 bought, < 0 sold, in 10^-q.
        notional: >= 0, in 1e-8 of the asset it settles in.
        gain: 1 when a long's profit rises with the notional, -1 when it falls (inverse contracts).
    """
    held, basis, realised = position_step(position.qty_units, position.basis_units, signed_qty, notional, gain)
    return Position(held, basis), realised


def position_step(held: int, basis: int, signed_qty: int, notional: int, gain: int) -> tuple[int, int, int]:
    """Return quantity, basis and realised profit after a fill: `position_after` in plain integers."""
    direction = 1 if signed_qty > 0 else -1
    if held == 0 or (held > 0) == (signed_qty > 0):
        return held + signed_qty, basis + direction * notional, 0
    size, closing = abs(held), min(abs(held), abs(signed_qty))
    closing_notional = notional if closing == abs(signed_qty) else mul_div(notional, closing, abs(signed_qty), FLOOR)
    released = abs(basis) if closing == size else mul_div(abs(basis), closing, size, FLOOR)
    realised = gain * (closing_notional - released if held > 0 else released - closing_notional)
    side = 1 if held > 0 else -1
    opened = signed_qty + side * closing
    if opened == 0:
        return held - side * closing, basis - side * released, realised
    return opened, direction * (notional - closing_notional), realised


class AssetAccount(msgspec.Struct):
    """One asset, all in 1e-8 of it: what is held now, and sums since the start of the run."""

    cash_units: int = 0
    transfers_units: int = 0
    realised_units: int = 0
    fees_units: int = 0
    funding_units: int = 0
    traded_units: int = 0  # spot base asset: bought minus sold


class Ledger:
    """Balances per wallet and asset, and positions per instrument, as a fold of fills and cashflows."""

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        margin: MarginTerms = FULL,
        valuation: Valuation = PLAIN,
    ) -> None:
        """Begin with nothing; margin: how positions in futures are secured; valuation: in what all is summed up."""
        self.instruments = instruments
        self.margin = margin
        self.valuation = valuation
        self.assets: dict[Holding, AssetAccount] = {}
        self.positions: dict[InstrumentId, Position] = {}
        self.added: dict[InstrumentId, int] = {}  # margin of isolated positions beyond the initial one, 1e-8

    def copied(self) -> tuple[dict[Holding, AssetAccount], dict[InstrumentId, Position]]:
        """Return what is held now, for `restore`."""
        return {name: msgspec.structs.replace(one) for name, one in self.assets.items()}, dict(self.positions)

    def restore(self, state: tuple[dict[Holding, AssetAccount], dict[InstrumentId, Position]]) -> None:
        """Be again what `copied` returned; the containers stay the same, for who looks at them."""
        self.assets.clear()
        self.assets.update(state[0])
        self.positions.clear()
        self.positions.update(state[1])

    def asset(self, holding: Holding) -> AssetAccount:
        """Return the account of an asset in a wallet, made when first asked for."""
        account = self.assets.get(holding)
        if account is None:
            account = self.assets[holding] = AssetAccount()
        return account

    def position(self, instrument: InstrumentId) -> Position:
        """Return the position in an instrument; flat when there is none."""
        return self.positions.get(instrument, FLAT)

    def margin_of(self, instrument: InstrumentId) -> int:
        """Return the margin that a position in a future binds (1e-8 of what it settles in): its basis over its
        leverage, and what was added.
        """
        initial = self.margin.margin_units(instrument, abs(self.position(instrument).basis_units))
        return initial + self.added.get(instrument, 0)

    def apply_fill(self, fill: Fill) -> int:
        """Take a fill into account; return the profit it realised, in 1e-8 of what it settles in, before fees."""
        instrument = self.instruments[fill.instrument]
        notional = instrument.notional_units(fill.qty_units, fill.price_units)
        signed_qty = fill.qty_units if fill.side is Side.BUY else -fill.qty_units
        position, realised = position_after(self.position(instrument.id), signed_qty, notional, instrument.gain)
        money = self.asset(instrument.cash)
        money.realised_units += realised
        fees = (
            money if fill.fee_asset == instrument.settle else self.asset(holding_of(instrument.wallet, fill.fee_asset))
        )
        fees.fees_units += fill.fee_units
        fees.cash_units -= fill.fee_units
        money.cash_units += (-notional if signed_qty > 0 else notional) if instrument.is_paid else realised
        if instrument.is_spot:
            base = self.asset(instrument.coin)
            base.traded_units += instrument.base_money(signed_qty)
            base.cash_units += instrument.base_money(signed_qty)
            if fill.fee_asset == instrument.base:  # what was taken as fee is not held; its cost stays in the basis
                fee_qty = fill.fee_units // instrument.base_money(1)
                position = Position(position.qty_units - fee_qty, position.basis_units)
        if instrument.id in self.added:
            self._release_added(instrument.id, self.position(instrument.id).qty_units, position.qty_units)
        if position.qty_units == 0 and position.basis_units == 0:
            self.positions.pop(instrument.id, None)
        else:
            self.positions[instrument.id] = position
        return realised

    def _release_added(self, instrument: InstrumentId, before: int, after: int) -> None:
        """Free the share of the added margin that a close frees; a flip frees it all."""
        if before * after <= 0:
            del self.added[instrument]
        elif abs(after) < abs(before):
            added = self.added[instrument]
            self.added[instrument] = added - mul_div(added, abs(before) - abs(after), abs(before), FLOOR)

    def apply_margin(self, terms: MarginTermsSet) -> None:
        """Secure a position as it is said from now on."""
        self.margin = self.margin.with_terms(terms.instrument, terms.leverage, terms.mode is MarginMode.CROSS)
        if terms.added_units:
            self.added[terms.instrument] = terms.added_units
        else:
            self.added.pop(terms.instrument, None)

    def apply_cashflow(self, flow: Cashflow) -> None:
        """Take a cashflow into account: funding under funding, the rest under transfers."""
        account = self.asset(holding_of(flow.wallet, flow.asset))
        account.cash_units += flow.amount_units
        if flow.kind == "funding":
            account.funding_units += flow.amount_units
        else:
            account.transfers_units += flow.amount_units

    def value_units(self, instrument_id: InstrumentId, price_units: int) -> int:
        """Return what a position adds to equity beside cash (1e-8 of what it settles in): spot and options their
        value, a future its profit.
        """
        position = self.position(instrument_id)
        instrument = self.instruments[instrument_id]
        if instrument.is_paid:
            return instrument.notional_units(position.qty_units, price_units)
        return instrument.profit_units(position.qty_units, position.basis_units, price_units)

    def equity_units(self, prices: Mapping[InstrumentId, int], sleeve: str | None = None) -> int:
        """Return the account's value at these prices (10^-p), in 1e-8 of its currency; sleeve: of what belongs to one
        strategy, or with an empty id to none.
        """
        worth = self.valuation.worth
        total = sum(worth(asset, units, prices) for asset, units in self.loose_cash(sleeve).items())
        for instrument in self.positions:
            spec = self.instruments[instrument]
            if sleeve is not None and spec.sleeve != sleeve:
                continue
            total += worth(spec.settle, self.value_units(instrument, prices[spec.listed]), prices)
        return total

    def equity_for(self, spec: Instrument, prices: Mapping[InstrumentId, int]) -> int:
        """Return the value at these prices (10^-p) of what may trade an instrument, in 1e-8 of what it settles in,
        rounded down: the account, or what of it belongs to the instrument's strategy.
        """
        return self.valuation.amount(spec.settle, self.equity_units(prices, spec.sleeve or None), prices)

    def loose_cash(self, sleeve: str | None = None) -> dict[str, int]:
        """Return per asset, all wallets together, what is held (1e-8) beside what spot positions are valued as.

        sleeve: as in `equity_units`.
        """
        loose: dict[str, int] = {}
        for holding, account in self.assets.items():
            wallet, asset = split_holding(holding)
            if sleeve is None or split_sleeve(wallet)[1] == sleeve:
                loose[asset] = loose.get(asset, 0) + account.cash_units
        for instrument_id, position in self.positions.items():
            instrument = self.instruments[instrument_id]
            if instrument.is_spot and sleeve in (None, instrument.sleeve):
                bound = instrument.base_money(position.qty_units)
                loose[instrument.base] = loose.get(instrument.base, 0) - bound
        return loose

    def unrealised_units(self, instrument_id: InstrumentId, price_units: int) -> int:
        """Return the profit of an open position at a price, in 1e-8 of what it settles in."""
        position = self.position(instrument_id)
        return self.instruments[instrument_id].profit_units(position.qty_units, position.basis_units, price_units)

    def identity_breaks(self) -> list[str]:
        """Return where `equity change = realised + unrealised - fees + funding` fails, per asset; [] when exact.

        Unrealised profit is value minus basis on both sides, so what remains to check is that cash is what
        transfers, realised profit, fees, funding and the money paid for spot and option positions say it is, that a
        base asset's balance is what was traded less what was charged, and that it equals the position, unless other
        instruments are paid with it.
        """
        breaks = []
        bound: dict[Holding, int] = {}
        held: dict[Holding, int] = {}
        for instrument_id, position in self.positions.items():
            instrument = self.instruments[instrument_id]
            if instrument.is_paid:
                bound[instrument.cash] = bound.get(instrument.cash, 0) + position.basis_units
            if instrument.is_spot:
                held[instrument.coin] = held.get(instrument.coin, 0) + instrument.base_money(position.qty_units)
        coins = {i.coin for i in self.instruments.values() if i.is_spot} - {i.cash for i in self.instruments.values()}
        for asset, account in sorted(self.assets.items()):
            expected = (
                account.transfers_units
                + account.realised_units
                - account.fees_units
                + account.funding_units
                + account.traded_units
                - bound.get(asset, 0)
            )
            if account.cash_units != expected:
                breaks.append(f"{asset}: cash is {fixed(account.cash_units, 8)}, its parts sum to {fixed(expected, 8)}")
            if asset in coins and held.get(asset, 0) != account.cash_units - account.transfers_units:
                breaks.append(
                    f"{asset}: {fixed(account.cash_units, 8)} held, positions say {fixed(held.get(asset, 0), 8)}"
                )
        return breaks


class Reservations:
    """Funds bound by open orders: per order until its terminal event; orders of one oco group bind them once."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Holding, int, str]] = {}  # order id → asset, units, oco name
        self._groups: dict[tuple[str, Holding], dict[int, int]] = {}  # oco name, asset → units by order id
        self._totals: dict[Holding, int] = {}

    def hold(self, order_id: int, asset: Holding, units: int, group: str) -> None:
        """Bind units of an asset to an order, instead of what it held; group is its oco name, or empty."""
        self.release(order_id)
        self._held[order_id] = (asset, units, group)
        self._totals[asset] = self._totals.get(asset, 0) + self.extra(asset, units, group)
        if group:
            self._groups.setdefault((group, asset), {})[order_id] = units

    def release(self, order_id: int) -> bool:
        """Free what an order holds; say whether it held anything."""
        entry = self._held.pop(order_id, None)
        if entry is None:
            return False
        asset, units, group = entry
        if not group:
            self._totals[asset] -= units
            return units > 0
        members = self._groups[(group, asset)]
        before = max(members.values())
        del members[order_id]
        self._totals[asset] -= before - max(members.values(), default=0)
        if not members:
            del self._groups[(group, asset)]
        return units > 0

    def total(self, asset: Holding) -> int:
        """Return how much of an asset is bound."""
        return self._totals.get(asset, 0)

    def extra(self, asset: Holding, units: int, group: str) -> int:
        """Return how much more an order of `units` in a group would bind."""
        members = self._groups.get((group, asset)) if group else None
        return max(0, units - max(members.values())) if members else units

    def total_without(self, order_id: int) -> int:
        """Return how much of an order's asset is bound by orders outside its oco group, which ends with its fill."""
        entry = self._held.get(order_id)
        if entry is None:
            return 0
        asset, units, group = entry
        return self._totals[asset] - (max(self._groups[(group, asset)].values()) if group else units)
