"""From `[risk]` and `[[control]]` to the parts that hold a run to them; and what they say, in words."""

from decimal import Decimal

from backtester.config.configs import BacktestConfig
from backtester.config.risk_section import LossBreaker, RiskSection, amount_of, cool_down_us
from backtester.core.board import Board
from backtester.core.folds import Ledger
from backtester.core.instruments import InstrumentId
from backtester.core.numbers import MONEY_EXPONENT, decimal, exact_units
from backtester.core.rules import InstrumentRules, RuleBook
from backtester.core.time import parse_time
from backtester.engine.position_sides import listed_only
from backtester.risk.blackouts import Blackouts
from backtester.risk.breakers import NEVER, BreakerTerms
from backtester.risk.limits import Cap, Limits, OrderLimiter
from backtester.risk.order_validation import plain
from backtester.risk.restrictions import Restrictions

_PERCENT_EXPONENT = MONEY_EXPONENT - 2
_AMOUNTS = ("max_order_notional", "max_symbol_notional", "max_gross_exposure", "max_net_exposure")
_NUMBERS = ("max_leverage", "max_orders_per_minute", "max_open_orders", "price_collar_pct")


def order_limiter(config: BacktestConfig, ledger: Ledger, board: Board) -> OrderLimiter | None:
    """Return who holds orders to the limits of a config; None when it has none, nor breakers, nor commands."""
    risk = config.risk
    limits = limits_of(risk)
    if not (any(limits) or risk.blackouts or breaker_terms(risk) or config.control):
        return None
    dated = [(parse_time(one.start), parse_time(one.end)) for one in risk.blackouts if one.start]
    weekly = [span for one in risk.blackouts if not one.start for span in one.week()]
    return OrderLimiter(limits, Blackouts(dated, weekly), Restrictions(), ledger=ledger, board=board)


def limits_of(risk: RiskSection) -> Limits:
    """Return the limits on orders in integers."""
    leverage = Cap(exact_units(risk.max_leverage, MONEY_EXPONENT), of_equity=True) if risk.max_leverage else None
    return Limits(
        **{key: _cap(getattr(risk, key)) for key in _AMOUNTS},
        max_leverage=leverage,
        max_orders_per_minute=risk.max_orders_per_minute,
        max_open_orders=risk.max_open_orders,
        price_collar=exact_units(risk.price_collar_pct, _PERCENT_EXPONENT),
    )


def _cap(text: str) -> Cap | None:
    amount, of_equity = amount_of(text)
    return Cap(exact_units(amount, MONEY_EXPONENT), of_equity) if amount else None


def breaker_terms(risk: RiskSection) -> list[BreakerTerms]:
    """Return the breakers that are on."""
    found = []
    for name in ("daily_loss", "drawdown", "consecutive_losses"):
        section = getattr(risk, name)
        loses = isinstance(section, LossBreaker)
        limit = exact_units(section.limit_pct, _PERCENT_EXPONENT) if loses else section.limit
        cool_down = NEVER if section.cool_down == "never" else cool_down_us(section.cool_down)
        recover = exact_units(getattr(section, "recover_pct", Decimal(0)), _PERCENT_EXPONENT)
        if limit:
            found.append(BreakerTerms(name, limit, section.action, cool_down, recover))
    return found


def limit_warnings(config: BacktestConfig, rules: RuleBook, time: int) -> list[str]:
    """Return the limits in money that are less than what the venue takes, at a time (UTC µs): nothing can be opened."""
    found = []
    for key in _AMOUNTS:
        cap = _cap(getattr(config.risk, key))
        if cap is None or cap.of_equity:
            continue
        least = {i: min(r.resting.min_notional_units, r.at_market.min_notional_units) for i, r in _at(rules, time)}
        small = [f"{i} {_money(units)}" for i, units in least.items() if cap.units < units]
        if small:
            found.append(
                f"risk.{key} is {_money(cap.units)}, less than the least order of {', '.join(small)}: all entries are "
                f'refused; a multiple of equity is written "{_money(cap.units)}x"'
            )
    return found


def _at(rules: RuleBook, time: int) -> list[tuple[InstrumentId, InstrumentRules]]:
    return [(instrument, rules[instrument].at(time)) for instrument in sorted(listed_only(rules))]


def _money(units: int) -> str:
    return plain(decimal(units, MONEY_EXPONENT))


def limits_in_words(config: BacktestConfig) -> str:
    """Return which limits, breakers, blackouts and commands of one's own are in force."""
    risk = config.risk
    values = {key: str(getattr(risk, key)) for key in (*_AMOUNTS, *_NUMBERS)}
    said = [f"{key} {text}" for key, text in values.items() if amount_of(text)[0]]
    for name in ("daily_loss", "drawdown", "consecutive_losses"):
        section = getattr(risk, name)
        limit = f"{section.limit_pct} %" if isinstance(section, LossBreaker) else f"{section.limit}"
        if limit not in ("0 %", "0"):
            said.append(f"{name} {limit}: {section.action}, cool-down {section.cool_down}")
    if risk.blackouts:
        said.append(f"{len(risk.blackouts)} blackouts")
    if config.control:
        said.append(f"{len(config.control)} scripted commands")
    return "; ".join(said) or "no limits of your own"
