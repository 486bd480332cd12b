"""Balances as a fold: the money identity holds per asset, to the last unit, whatever is traded."""

from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, composite, integers, lists, sampled_from, tuples

from backtester.core.events import Cashflow, Fill, Liquidity, OrderKind, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Asset, Instrument, holding_of
from tests.support.profiles import examples
from tests.support.specs import instrument

USDT = Asset("USDT")


def fill(spec: Instrument, side: Side, qty: int, price: int, fee: int = 0, *, received: bool = False) -> Fill:
    return Fill(
        ts=1,
        order_id=1,
        instrument=spec.id,
        base=spec.base,
        quote=spec.quote,
        kind=OrderKind.MARKET,
        side=side,
        qty_units=qty,
        price_units=price,
        reference_price_units=price,
        fee_units=fee,
        fee_asset=spec.base if received else spec.quote,
        liquidity=Liquidity.TAKER,
        leaves_units=0,
        tag="",
        scale=spec.scale,
    )


def money(amount: str) -> int:
    return int(Fraction(amount) * 10**8)


def test_a_spot_round_trip_by_hand() -> None:
    spec = instrument()
    ledger = Ledger({spec.id: spec})
    ledger.apply_cashflow(Cashflow(ts=0, kind="deposit", wallet=spec.market, asset=USDT, amount_units=money("1000")))
    ledger.apply_fill(fill(spec, Side.BUY, 2_000, 100_00, money("0.2")))  # 2 at 100
    assert ledger.asset(spec.cash).cash_units == money("799.8")
    assert ledger.asset(spec.coin).cash_units == money("2")
    assert ledger.equity_units({spec.id: 110_00}) == money("1019.8")
    assert ledger.unrealised_units(spec.id, 110_00) == money("20")
    assert ledger.apply_fill(fill(spec, Side.SELL, 2_000, 110_00, money("0.22"))) == money("20")
    assert ledger.asset(spec.cash).cash_units == money("1019.58")
    assert ledger.positions == {}
    assert ledger.identity_breaks() == []


def test_a_short_future_by_hand() -> None:
    spec = instrument(market="um")
    ledger = Ledger({spec.id: spec})
    ledger.apply_cashflow(Cashflow(ts=0, kind="deposit", wallet=spec.market, asset=USDT, amount_units=money("1000")))
    ledger.apply_fill(fill(spec, Side.SELL, 3_000, 100_00))
    assert ledger.asset(spec.cash).cash_units == money("1000")  # nothing is bought: only profit moves money
    assert ledger.equity_units({spec.id: 90_00}) == money("1030")
    assert ledger.apply_fill(fill(spec, Side.BUY, 1_000, 90_00)) == money("10")
    assert ledger.asset(spec.cash).cash_units == money("1010")
    assert ledger.position(spec.id).qty_units == -2_000
    assert ledger.equity_units({spec.id: 120_00}) == money("970")
    assert ledger.identity_breaks() == []


def test_a_fee_from_what_was_bought_shrinks_the_holding_and_not_its_cost() -> None:
    spec = instrument(qty_decimals=8)
    ledger = Ledger({spec.id: spec})
    ledger.apply_cashflow(Cashflow(ts=0, kind="deposit", wallet=spec.market, asset=USDT, amount_units=money("1000")))
    ledger.apply_fill(fill(spec, Side.BUY, money("1"), 100_00, money("0.001"), received=True))
    assert ledger.asset(spec.coin).cash_units == money("0.999")
    assert ledger.position(spec.id).qty_units == money("0.999")
    assert ledger.position(spec.id).basis_units == money("100")
    assert ledger.asset(spec.coin).fees_units == money("0.001")
    assert ledger.identity_breaks() == []


def test_a_wrong_balance_is_found() -> None:
    spec = instrument()
    ledger = Ledger({spec.id: spec})
    ledger.apply_fill(fill(spec, Side.BUY, 1_000, 100_00))
    ledger.asset(spec.cash).cash_units += 1
    assert any("USDT" in text for text in ledger.identity_breaks())
    ledger.asset(spec.cash).cash_units -= 1
    ledger.asset(spec.coin).cash_units += 1
    assert any("BTC" in text for text in ledger.identity_breaks())


Trade = tuple[bool, int, int, int]


@composite
def streams(draw, market: str) -> tuple[Instrument, list[Trade]]:  # type: ignore[no-untyped-def]
    """An instrument of random scale and trades (buys, quantity, price, fee in 1e-8 of 1e-2 of the notional)."""
    spec = instrument(market=market, price_decimals=draw(integers(0, 8)), qty_decimals=draw(integers(0, 8)))
    trades = draw(
        lists(tuples(booleans(), integers(1, 10**6), integers(1, 10**7), integers(-(10**5), 10**6)), max_size=30)
    )
    return spec, trades


def applied(ledger: Ledger, spec: Instrument, trades: list[Trade], *, received: bool) -> Iterator[tuple[Fill, int]]:
    """Apply the trades that are possible; spot sells no more than is held."""
    for buys, qty, price, rate in trades:
        side, held = Side.BUY if buys else Side.SELL, ledger.position(spec.id).qty_units
        wanted = qty
        if spec.is_spot and side is Side.SELL:
            wanted = min(qty, held)
            if wanted <= 0:
                continue
        in_base = received and side is Side.BUY
        charged = spec.base_money(wanted) if in_base else spec.notional_units(wanted, price)
        one = fill(spec, side, wanted, price, charged * rate // 10**8, received=in_base)
        yield one, ledger.apply_fill(one)


@settings(max_examples=examples(200))
@given(stream=sampled_from(["spot", "um"]).flatmap(streams), received=booleans(), mark=integers(1, 10**7))
def test_equity_changes_by_realised_plus_unrealised_less_fees(
    stream: tuple[Instrument, list[Trade]], received: bool, mark: int
) -> None:
    spec, trades = stream
    if received:
        spec = instrument(market=spec.market, price_decimals=spec.scale.price, qty_decimals=8)
    ledger = Ledger({spec.id: spec})
    ledger.apply_cashflow(Cashflow(ts=0, kind="deposit", wallet=spec.market, asset=USDT, amount_units=10**15))
    profit = 0
    for _, realised in applied(ledger, spec, trades, received=received and spec.is_spot):
        profit += realised
        assert ledger.identity_breaks() == []
        quote, base = ledger.asset(spec.cash), ledger.asset(spec.coin)
        change = ledger.equity_units({spec.id: mark}) - 10**15
        assert change == profit + ledger.unrealised_units(spec.id, mark) - quote.fees_units
        assert quote.realised_units == profit
        if spec.is_spot:
            assert base.cash_units == spec.base_money(ledger.position(spec.id).qty_units) >= 0


@given(stream=streams("um"), amount=integers(-(10**10), 10**10))
def test_funding_is_money_of_its_own(stream: tuple[Instrument, list[Trade]], amount: int) -> None:
    spec, trades = stream
    ledger = Ledger({spec.id: spec})
    for _ in applied(ledger, spec, trades, received=False):
        ledger.apply_cashflow(
            Cashflow(ts=1, kind="funding", wallet=spec.market, asset=USDT, amount_units=amount, instrument=spec.id)
        )
    account = ledger.asset(spec.cash)
    assert account.funding_units == amount * len(trades)
    assert account.cash_units == account.realised_units - account.fees_units + account.funding_units
    assert ledger.identity_breaks() == []


@pytest.mark.parametrize("kind", ["deposit", "interest"])
def test_other_cashflows_are_transfers(kind: str) -> None:
    ledger = Ledger({})
    ledger.apply_cashflow(Cashflow(ts=0, kind=kind, wallet="um", asset=USDT, amount_units=5))
    account = ledger.asset(holding_of("um", USDT))
    assert (account.transfers_units, account.funding_units) == (5, 0)
