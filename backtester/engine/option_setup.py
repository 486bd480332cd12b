"""From the option chains of a run to its instruments and their rules."""

from collections.abc import Iterable, Mapping

from backtester.config.configs import BacktestConfig
from backtester.config.instrument_section import InstrumentSection
from backtester.config.instruments import instrument_of, rules_of
from backtester.core.errors import UsageError
from backtester.core.instruments import Instrument, InstrumentId, option_name, parse_instrument, split_id, split_symbol
from backtester.core.rules import RuleBook
from backtester.core.time import HOUR, timeframe_us
from backtester.engine.option_plan import PRICE_DECIMALS, Chain


def described(
    ids: list[InstrumentId], chains: Mapping[InstrumentId, Chain], sections: Mapping[InstrumentId, InstrumentSection]
) -> tuple[dict[InstrumentId, Instrument], RuleBook]:
    """Return the instruments, and the rules of each; all contracts of a chain have one section and one timeline."""
    described = {i: i for i in ids} | {i: chain.name for chain in chains.values() for i in chain.contracts}
    instruments = {i: instrument_of(i, sections[by]) for i, by in sorted(described.items())}
    for chain in chains:
        if sections[chain].price_decimals != PRICE_DECIMALS:
            raise UsageError(
                f'instruments."{chain}".price_decimals is {sections[chain].price_decimals}: of chains it is '
                f"{PRICE_DECIMALS}, for marks and settlement prices have as many"
            )
    rules = {by: rules_of(instruments[i], sections[by]) for by, i in {by: i for i, by in described.items()}.items()}
    return instruments, {i: rules[described[i]] for i in instruments}


def check_sections(config: BacktestConfig, chains: Iterable[InstrumentId]) -> None:
    """Refuse rules of a single contract: nothing would read them.

    Raises:
        UsageError: a section names a contract of a chain.
    """
    for name in config.instruments:
        contract = option_name(split_id(parse_instrument(name, config.run.market))[1])
        if contract is not None:
            own = f"option:{contract.base}USDT"
            chain = next((c for c in chains if (split_symbol(split_id(c)[1]) or ("",))[0] == contract.base), own)
            raise UsageError(
                f'instruments."{name}" names one contract; all contracts of a chain have one section of rules',
                hint=f'write [instruments."{chain}"]',
            )


def config_for(config: BacktestConfig, chains: Iterable[InstrumentId], *, alone: bool) -> BacktestConfig:
    """Return the config of a run of chains; alone: of options alone, which have a row an hour, and nothing finer.

    Raises:
        UsageError: a section names a contract of a chain.
    """
    check_sections(config, chains)
    if not alone or timeframe_us(config.run.timeframe) >= HOUR:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"timeframe": "1h"})})


def known_before(chains: Iterable[InstrumentId], start: int) -> dict[InstrumentId, int]:
    """Return from when on chains are read: so that one is known when the run begins."""
    return dict.fromkeys(chains, start - HOUR)
