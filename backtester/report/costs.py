"""What a run cost: lines that add up to its net profit, to the unit. Definitions: docs/metrics.md."""

from typing import Any, NamedTuple

from backtester.report.figures import Metric, amount, money, null, value


class Accounts(NamedTuple):
    """What the account's own books say at the end, in 1e-8 of its currency; costs > 0 are costs.

    realised: price profit of what was closed, at the prices of fills. unrealised: of what is held. fees: all, those of
    liquidations among them. base_fees: of those, what was taken in the base asset, which the price profit lacks
    already. funding: received less paid. insurance: what the insurance fund paid. closed, open_: net profit of trades
    that have closed, and of those that have not.
    """

    initial: int
    final: int
    realised: int
    unrealised: int
    slippage: int
    fees: int
    base_fees: int
    liquidation_fees: int
    funding: int
    insurance: int
    closed: int
    open_: int

    @property
    def net(self) -> int:
        """What the run made."""
        return self.final - self.initial


def cost_section(books: Accounts, currency: str) -> dict[str, Any]:
    """Return the way from price profit to net profit, line by line, and whose profit it is.

    `price_pnl` is what the prices before slippage would have made. `conversion` is what money in other assets than the
    account's currency gained or lost by its price. All lines are signed: what costs is negative; they add up to `net`.
    """
    price = books.realised + books.unrealised + books.slippage + books.base_fees
    lines = {
        "price_pnl": price,
        "slippage": -books.slippage,
        "fees": books.liquidation_fees - books.fees,
        "funding": books.funding,
        "interest": 0,  # nothing can be borrowed here
        "liquidation": -books.liquidation_fees,
        "insurance": books.insurance,
    }
    lines["conversion"] = books.net - sum(lines.values())
    return {
        "currency": currency,
        "lines": [{"name": name, "value": amount(units)} for name, units in lines.items()],
        "net": amount(books.net),
        "whose": [
            {"name": "closed_trades", "value": amount(books.closed)},
            {"name": "open_trades", "value": amount(books.open_)},
            {"name": "not_of_a_trade", "value": amount(books.net - books.closed - books.open_)},
        ],
        "share_of_gross_profit": cost_share(books),
    }


def cost_share(books: Accounts) -> Metric:
    """Return fees, slippage and funding paid as a share of what the prices made."""
    price = books.realised + books.unrealised + books.slippage + books.base_fees
    costs = books.slippage + books.fees - books.funding
    if price <= 0:
        return null("cost_share/1", "no_gross_profit")
    return value("cost_share/1", costs / price)


def money_figures(books: Accounts, by_asset: dict[str, dict[str, str]], currency: str) -> dict[str, Metric]:
    """Return the amounts of the first screen. by_asset: of what a sum is made, where not of the currency alone."""

    def told(name: str, definition: str, units: int) -> Metric:
        return money(definition, units, currency, by_asset=by_asset.get(name))

    return {
        "initial_equity": money("initial_equity/1", books.initial, currency),
        "final_equity": money("final_equity/1", books.final, currency),
        "net_pnl": money("net_pnl/1", books.net, currency),
        "realised_pnl": told("realised_pnl", "realised_pnl/1", books.realised),
        "unrealised_pnl": money("unrealised_pnl/1", books.unrealised, currency),
        "fees": told("fees", "fees/2", books.fees),
        "slippage": money("slippage/1", books.slippage, currency),
        "cost_share": cost_share(books),
    }
