"""An account folded from nothing but the log: a second program, in Decimal, that shares no code with the first.

It recomputes every snapshot that the log holds and says where one differs.
"""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import Any

from backtester.audit.reader import LogLine

_UNIT = Decimal("0.00000001")
_PRECISION = 60


class Divergence(Exception):
    """The log says one thing, its own events another."""


class FoldedAccount:
    """Cash and reservations by wallet and asset, positions by instrument, as the log's events make them."""

    def __init__(self) -> None:
        self.cash: dict[str, Decimal] = {}
        self.realised: dict[str, Decimal] = {}
        self.fees: dict[str, Decimal] = {}
        self.funding: dict[str, Decimal] = {}
        self.positions: dict[str, tuple[Decimal, Decimal]] = {}  # signed quantity, signed basis
        self.reserved: dict[int, tuple[str, str, Decimal]] = {}  # order → asset, group, amount
        self.contracts: dict[str, Decimal] = {}  # by instrument, as its fills say
        self.settles: dict[str, str] = {}
        self.bases: dict[str, str] = {}  # spot only
        self.leverage: dict[str, int] = {}  # by instrument, where the log changed it
        self.added: dict[str, Decimal] = {}  # margin beyond the initial one
        self.fills = 0
        self.snapshots = 0

    def apply(self, line: LogLine) -> None:
        """Fold one line.

        Raises:
            Divergence: a snapshot differs from what the events before it make.
        """
        event = line.event
        match line.topic:
            case "cashflows":
                where, amount = _holding(event["wallet"], event["asset"]), Decimal(event["amount"])
                self._move(self.funding if event["kind"] == "funding" else {}, where, amount)
                self._move(self.cash, where, amount)
                self.reserved.pop(event.get("order_id", 0), None)
            case "transfers":
                source = _holding(event["source"], event["asset"])
                self.reserved[event["order_id"]] = (source, f"#{event['order_id']}", Decimal(event["amount"]))
            case "orders_sanitized" | "orders_changed" if "reserve" in event:
                group = event["oco"] or f"#{event['order_id']}"
                bound = _holding(_wallet(event["instrument"]), event["reserve_asset"])
                self.reserved[event["order_id"]] = (bound, group, Decimal(event["reserve"]))
            case "orders_rejected":
                self.reserved.pop(event["order_id"], None)
            case "orders_update" if event["status"] in ("cancelled", "expired", "filled"):
                self.reserved.pop(event["order_id"], None)
            case "fills":
                self._fill(event)
            case "margin_terms":
                self.leverage[event["instrument"]] = event["leverage"]
                self.added[event["instrument"]] = Decimal(event["added"])
            case "account_snapshot":
                self._compare(event)

    @staticmethod
    def _move(where: dict[str, Decimal], asset: str, amount: Decimal) -> None:
        where[asset] = where.get(asset, Decimal(0)) + amount

    def _fill(self, fill: dict[str, Any]) -> None:
        self.fills += 1
        market, wallet = fill["instrument"].partition(":")[0], _wallet(fill["instrument"])
        qty, price, fee = Decimal(fill["qty"]), Decimal(fill["price"]), Decimal(fill["fee"])
        contract = Decimal(fill.get("contract", 1))
        inverse, paid = market == "cm", market in ("spot", "option")
        self.contracts[fill["instrument"]] = contract
        money = _holding(wallet, fill["base"] if inverse else fill["quote"])
        notional = _worth(market, qty, price, contract)
        signed = qty if fill["side"] == "buy" else -qty
        realised = self._trade(fill["instrument"], signed, notional) * (-1 if inverse else 1)
        self._move(self.realised, money, realised)
        fee_from = _holding(wallet, fill["fee_asset"])
        self._move(self.fees, fee_from, fee)
        self._move(self.cash, fee_from, -fee)
        if paid:
            self._move(self.cash, money, -notional if signed > 0 else notional)
        else:
            self._move(self.cash, money, realised)
        if market == "spot":
            self._move(self.cash, _holding(wallet, fill["base"]), signed)
            self.bases[fill["instrument"]] = _holding(wallet, fill["base"])
            if fill["fee_asset"] == fill["base"]:
                held, basis = self.positions[fill["instrument"]]
                self.positions[fill["instrument"]] = (held - fee, basis)
        self.settles[fill["instrument"]] = money
        if Decimal(fill["leaves"]) == 0:
            self.reserved.pop(fill["order_id"], None)

    def _trade(self, instrument: str, signed: Decimal, notional: Decimal) -> Decimal:
        """Change the position; return the profit that was realised."""
        held, basis = self.positions.get(instrument, (Decimal(0), Decimal(0)))
        if held * signed >= 0:
            self.positions[instrument] = (held + signed, basis + notional.copy_sign(signed))
            return Decimal(0)
        closed = min(abs(held), abs(signed))
        added = self.added.get(instrument, Decimal(0))
        freed = added if closed == abs(held) else (added * closed / abs(held)).quantize(_UNIT, ROUND_FLOOR)
        self.added[instrument] = added - freed
        worth = (notional * closed / abs(signed)).quantize(_UNIT, ROUND_FLOOR)
        cost = (abs(basis) * closed / abs(held)).quantize(_UNIT, ROUND_FLOOR)
        rest = abs(signed) - closed
        if rest:
            self.positions[instrument] = (rest.copy_sign(signed), (notional - worth).copy_sign(signed))
        else:
            left = abs(held) - closed
            self.positions[instrument] = (left.copy_sign(held), (abs(basis) - cost).copy_sign(held))
        return worth - cost if held > 0 else cost - worth

    def _compare(self, snapshot: dict[str, Any]) -> None:
        self.snapshots += 1
        for row in snapshot["assets"]:
            asset = _holding(row["wallet"], row["asset"])
            expected = {
                "cash": self.cash,
                "realised": self.realised,
                "fees": self.fees,
                "funding": self.funding,
            }
            for key, where in expected.items():
                _same(f"{asset} {key}", row[key], where.get(asset, Decimal(0)))
            _same(f"{asset} reserved", row["reserved"], self._reserved(asset))
        held = {i: p for i, p in self.positions.items() if any(p)}
        shown = {row["instrument"]: row for row in snapshot["positions"]}
        if set(held) != set(shown):
            raise Divergence(f"positions are {sorted(shown)}, the fills make {sorted(held)}")
        rates = {snapshot["currency"]: Fraction(1)} | {a: Fraction(r) for a, r in snapshot.get("rates", {}).items()}
        loose = dict(self.cash)
        equity = Decimal(0)
        for instrument, (qty, basis) in held.items():
            row, market = shown[instrument], instrument.partition(":")[0]
            value = _worth(market, qty, Decimal(row["mark"]), self.contracts[instrument])
            profit = basis - value if market == "cm" else value - basis
            _same(f"{instrument} quantity", row["qty"], qty)
            _same(f"{instrument} basis", row["basis"], basis)
            _same(f"{instrument} unrealised", row["unrealised"], profit)
            if "leverage" in row:
                leverage, added = row["leverage"], self.added.get(instrument, Decimal(0))
                initial = (abs(basis) / leverage).quantize(_UNIT, ROUND_CEILING)
                _same(f"{instrument} leverage", str(leverage), Decimal(self.leverage.get(instrument, leverage)))
                _same(f"{instrument} margin", row["margin"], initial + added)
                _same(f"{instrument} added margin", row.get("added", "0"), added)
            if instrument in self.bases:
                loose[self.bases[instrument]] -= qty
            adds = value if market in ("spot", "option") else profit
            equity += _converted(adds, rates, self.settles[instrument])
        totals: dict[str, Decimal] = {}
        for holding, amount in loose.items():
            self._move(totals, holding.partition(":")[2], amount)
        equity += sum((_converted(amount, rates, asset) for asset, amount in totals.items()), Decimal(0))
        _same("equity", snapshot["equity"], equity)

    def _reserved(self, asset: str) -> Decimal:
        """Orders of one oco group reserve once: the most of them."""
        groups: dict[str, Decimal] = {}
        for held, group, amount in self.reserved.values():
            if held == asset:
                groups[group] = max(groups.get(group, Decimal(0)), amount)
        return sum(groups.values(), Decimal(0))


def _wallet(instrument: str) -> str:
    """Return whose wallet pays: the market's, or of several strategies the one's whose instrument it is."""
    market, _, symbol = instrument.partition(":")
    owner = symbol.partition("@")[2]
    return market if owner in ("", "long", "short") else f"{market}@{owner}"


def _holding(wallet: str, asset: str) -> str:
    return f"{wallet}:{asset}"


def _worth(market: str, qty: Decimal, price: Decimal, contract: Decimal) -> Decimal:
    """Return what a quantity is worth at a price, in what it settles in: inverse contracts in coin."""
    worth = qty * contract / price if market == "cm" else qty * contract * price
    return worth.quantize(_UNIT, ROUND_HALF_EVEN)


def _converted(amount: Decimal, rates: dict[str, Fraction], holding: str) -> Decimal:
    """Return an amount in the account's currency, as 1e-8 half-even."""
    if not amount:
        return amount
    exact = Fraction(amount) * rates[holding.rpartition(":")[2]]
    return Decimal(round(exact * 10**8)) * _UNIT  # a Fraction rounds half to even


def _same(what: str, said: str, folded: Decimal) -> None:
    if Decimal(said) != folded:
        raise Divergence(f"{what} is {said} in the log, its events make {folded:f}")


def fold(lines: Iterable[LogLine]) -> tuple[FoldedAccount, int, str]:
    """Fold a whole log.

    Returns:
        The account, the number of lines, and the digest of the last one.

    Raises:
        Divergence: names the line and what differs.
    """
    account, count, digest = FoldedAccount(), 0, "00" * 16
    with localcontext() as context:
        context.prec = _PRECISION
        for line in lines:
            try:
                account.apply(line)
            except Divergence as error:
                raise Divergence(f"line {line.seq}: {error}") from None
            count, digest = line.seq, line.h
    return account, count, digest
