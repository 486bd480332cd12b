"""What a wish to change how positions are secured comes to: asked by risk, before, and by the exchange, on arrival.

What an isolated position has is kept when its leverage rises: what is then beyond its initial margin counts as added,
and can be taken out again.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from backtester.core.events import Reason
from backtester.core.folds import Ledger
from backtester.core.instruments import UM, Instrument, InstrumentId, secured_alike
from backtester.core.margin_events import MarginMode, MarginTermsSet, MarginWish, MoveMargin, SetLeverage, SetMarginMode
from backtester.core.numbers import FLOOR, MONEY_EXPONENT, fixed, units_of


class Refused(NamedTuple):
    """Why a wish is not fulfilled, with the numbers that the reason is made of."""

    reason: Reason
    numbers: dict[str, str]


class Standing(NamedTuple):
    """What a wish is judged by. prices: the last ones, 10^-p. free: what nothing binds in its wallet, 1e-8.

    orders: how many of the instrument work. most: how large a position (1e-8) may be at a leverage; None: no limit.
    """

    ledger: Ledger
    prices: Mapping[InstrumentId, int]
    free: int
    orders: int
    most: Callable[[int], int] | None
    now: int


def changed_terms(wish: MarginWish, standing: Standing) -> list[MarginTermsSet] | Refused:
    """Return what holds from now on, of each position that it concerns, or why all stays as it is.

    The wish names an instrument of the run that has margin.
    """
    match wish:
        case SetLeverage():
            return _leverage(wish, standing)
        case SetMarginMode():
            return _mode(wish, standing)
        case MoveMargin():
            return _moved(wish, standing)


def terms_in_force(ledger: Ledger, spec: Instrument, now: int) -> MarginTermsSet:
    """Return how a position is secured."""
    return MarginTermsSet(
        ts=now,
        instrument=spec.id,
        leverage=ledger.margin.leverage_of(spec.id),
        mode=MarginMode.CROSS if spec.id in ledger.margin.cross else MarginMode.ISOLATED,
        added_units=ledger.added.get(spec.id, 0),
    )


def _sides(wish: MarginWish, ledger: Ledger) -> list[Instrument]:
    return secured_alike(ledger.instruments, ledger.instruments[wish.instrument])


def _leverage(wish: SetLeverage, standing: Standing) -> list[MarginTermsSet] | Refused:
    ledger, found, required = standing.ledger, [], 0
    for spec in _sides(wish, ledger):
        held = ledger.position(spec.id)
        size = abs(spec.notional_units(held.qty_units, standing.prices[spec.listed])) if held.qty_units else 0
        most = None if standing.most is None else standing.most(wish.leverage)
        if most is not None and (size > most or not most):
            return Refused(
                Reason.LEVERAGE_BRACKET,
                {"leverage": str(wish.leverage), "notional": _money(size), "max_notional": _money(most)},
            )
        terms = ledger.margin.with_terms(spec.id, wish.leverage, spec.id in ledger.margin.cross)
        had, needs = ledger.margin_of(spec.id), terms.margin_units(spec.id, abs(held.basis_units))
        added = 0 if spec.id in terms.cross else max(0, had - needs)
        required += needs + added - had
        found.append(_set(ledger, spec, standing.now, leverage=wish.leverage, added=added))
    return _payable(found, required, standing.free)


def _mode(wish: SetMarginMode, standing: Standing) -> list[MarginTermsSet] | Refused:
    ledger, sides = standing.ledger, _sides(wish, standing.ledger)
    held = [spec.id for spec in sides if spec.id in ledger.positions]
    if held or standing.orders:
        numbers = {"positions": str(len(held)), "open_orders": str(standing.orders)}
        return Refused(Reason.MARGIN_MODE_WITH_POSITION, numbers)
    if wish.mode is MarginMode.ISOLATED and any(spec.market == UM for spec in sides) and ledger.margin.collateral:
        return Refused(Reason.COLLATERAL_NEEDS_CROSS, {"collateral": " ".join(sorted(ledger.margin.collateral))})
    return [_set(ledger, spec, standing.now, mode=wish.mode) for spec in sides]


def _moved(wish: MoveMargin, standing: Standing) -> list[MarginTermsSet] | Refused:
    ledger, spec = standing.ledger, standing.ledger.instruments[wish.instrument]
    sides = _sides(wish, ledger)
    if spec.id not in (side.id for side in sides):
        return Refused(Reason.POSITION_SIDE_REQUIRED, {"futures.position_mode": "hedge", "position_side": "none"})
    if spec.id in ledger.margin.cross:
        return Refused(Reason.MARGIN_NOT_ISOLATED, {"margin_mode": "cross"})
    if spec.id not in ledger.positions:
        return Refused(Reason.NO_POSITION, {})
    moved, added = units_of(wish.amount, MONEY_EXPONENT, FLOOR), ledger.added.get(spec.id, 0)
    if not moved:
        return Refused(Reason.BAD_SIZE, {"amount": f"{wish.amount:f}"})
    spare = max(0, added + min(0, ledger.unrealised_units(spec.id, standing.prices[spec.listed])))
    if -moved > spare:  # a loss eats what was added first
        return Refused(Reason.INSUFFICIENT_MARGIN, {"required": _money(-moved), "spare": _money(spare)})
    return _payable([_set(ledger, spec, standing.now, added=added + moved)], moved, standing.free)


def _payable(found: list[MarginTermsSet], required: int, free: int) -> list[MarginTermsSet] | Refused:
    if required > max(0, free):
        return Refused(Reason.INSUFFICIENT_BALANCE, {"required": _money(required), "free": _money(free)})
    return found


def _set(
    ledger: Ledger,
    spec: Instrument,
    now: int,
    *,
    leverage: int | None = None,
    mode: MarginMode | None = None,
    added: int | None = None,
) -> MarginTermsSet:
    """Return the terms in force with what changes."""
    terms = terms_in_force(ledger, spec, now)
    return MarginTermsSet(
        ts=now,
        instrument=spec.id,
        leverage=terms.leverage if leverage is None else leverage,
        mode=terms.mode if mode is None else mode,
        added_units=terms.added_units if added is None else added,
    )


def _money(units: int) -> str:
    return fixed(units, MONEY_EXPONENT)
