"""What an order may say beyond its kind and prices: how long, under which conditions, and what is attached to it."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec


class TimeInForce(StrEnum):
    """How long an order works: until cancelled, at once or never (in part or whole), or till a time."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions of an order; the log leaves out what is default.

    good_till: UTC µs, of GTD orders. post_only: rejected when it would take. reduce_only: never adds to a position.
    close_position: its size is the whole position when it triggers.
    """

    time_in_force: TimeInForce = TimeInForce.GTC
    good_till: int = 0
    post_only: bool = False
    reduce_only: bool = False
    close_position: bool = False

    @property
    def at_once(self) -> bool:
        """Whether what does not execute at once expires."""
        return self.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)

    @property
    def only_reduces(self) -> bool:
        """Whether it can never open a position."""
        return self.reduce_only or self.close_position


PLAIN: Final = Terms()


class Target(msgspec.Struct, frozen=True):
    """Where to take profit, and with which share of what was filled: a fraction."""

    price: Decimal
    share: Decimal


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """Exits attached to an entry, which exist from its fill on: at most one stop or trailing stop, and targets.

    stop_loss: a price. stop_trail: a callback rate, a fraction.
    """

    stop_loss: Decimal | None = None
    stop_trail: Decimal | None = None
    targets: tuple[Target, ...] = ()


def size_fault(sizes: int, terms: Terms) -> str | None:
    """Return what is wrong with how many sizes an order says, or None: an entry may leave its size to the run."""
    if sizes == 1 and not terms.close_position:
        return None
    if sizes == 0 and (terms.close_position or not terms.only_reduces):
        return None
    return "give exactly one size: a base quantity, quote=money, fraction=share of equity, or close_position=True"


def terms_fault(terms: Terms, *, has_limit: bool, is_plain_limit: bool, triggers: bool) -> str | None:
    """Return what is wrong with the conditions of an order, or None.

    has_limit: it has a limit price, from the start (is_plain_limit) or once it triggers. triggers: it waits for a
    price.
    """
    if (terms.time_in_force is TimeInForce.GTD) != bool(terms.good_till):
        return "good_till is the time of a GTD order, and a GTD order needs one"
    if terms.time_in_force is TimeInForce.GTD and not (has_limit or triggers):
        return "a market order does not rest: good_till means nothing to it"
    if terms.at_once and not has_limit:
        return f"{terms.time_in_force} needs a limit price"
    if terms.post_only and (not is_plain_limit or terms.at_once):
        return "post_only is for limit orders that may rest"
    if terms.close_position and not triggers:
        return "close_position is for stops and take-profits"
    return None


def twap_fault(span: int, slices: int, terms: Terms) -> str | None:
    """Return what is wrong with a TWAP in itself, or None; span in µs."""
    if slices < 2:
        return f"slices is {slices}: an order is sliced into at least 2"
    if span <= 0 or span % slices:
        return f"a span of {span} µs has no {slices} equal intervals"
    if terms not in (PLAIN, Terms(reduce_only=True)):
        return "of the conditions a TWAP has reduce_only alone: its slices execute at once"
    return None


def iceberg_fault(qty: Decimal, display: Decimal, terms: Terms) -> str | None:
    """Return what is wrong with an iceberg in itself, or None."""
    if not 0 < display < qty:
        return f"display is {display}: it must lie between 0 and the quantity {qty}"
    if terms.at_once or terms.close_position:
        return "an iceberg rests: it is neither ioc nor fok, and has a quantity"
    return None


def bracket_fault(bracket: Bracket, only_reduces: bool) -> str | None:
    """Return what is wrong with attached exits in themselves, or None; where the entry is, risk knows."""
    stops = [bracket.stop_loss, bracket.stop_trail]
    if only_reduces:
        return "an order that only reduces has nothing to protect: no bracket"
    if all(stop is None for stop in stops) and not bracket.targets:
        return "a bracket needs a stop or a target"
    if all(stop is not None for stop in stops):
        return "give stop_loss or stop_trail, not both"
    if bracket.stop_trail is not None and not 0 < bracket.stop_trail < 1:
        return f"stop_trail is {bracket.stop_trail}, it must lie between 0 and 1"
    return _targets_fault(bracket.targets)


def _targets_fault(targets: Sequence[Target]) -> str | None:
    if any(target.share <= 0 for target in targets):
        return "the share of a take-profit must be above 0"
    total = sum(target.share for target in targets)
    return f"the shares of the take-profits sum to {total}, they may not exceed 1" if total > 1 else None
