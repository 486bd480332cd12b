"""What a config says of single instruments, by the identities of a run's: one rule for every section that does so."""

import difflib
from collections.abc import Collection, Mapping
from typing import TypeVar

from backtester.core.errors import UsageError
from backtester.core.instruments import (
    MARKETS,
    OPTION,
    InstrumentId,
    option_name,
    parse_instrument,
    split_id,
)

T = TypeVar("T")
_SHOWN = 3


def own_sections(
    key: str, sections: Mapping[str, T], ids: Collection[InstrumentId], market: str, warnings: list[str], what: str = ""
) -> dict[InstrumentId, T]:
    """Return the sections of instruments of a run under their identities.

    A config may serve many runs, each with some of its instruments: one that is not in this run is warned of, with what
    may have been meant, and refused only where no run could have it.

    Args:
        key: where the sections stand, `futures.instruments`.
        sections: by `market:symbol`, or by a symbol of the market.
        ids: which the run has.
        market: of bare symbols.
        warnings: takes the names that this run does not have.
        what: what all of ids are, where that is not all that a run may have: `a future`.

    Raises:
        UsageError: a name is no instrument, is of no market, or stands there twice.
    """
    named: dict[InstrumentId, str] = {}
    for text in sections:
        try:
            instrument = parse_instrument(text, market)
        except UsageError as error:
            raise UsageError(f"{key} names {text!r}: that is not an instrument", hint=error.hint) from None
        if split_id(instrument)[0] not in MARKETS:
            raise UsageError(
                f"{key} names {text!r}: there is no market {split_id(instrument)[0]!r}",
                hint=_meant(instrument, set(ids)) or f"allowed: {' '.join(MARKETS)}",
            )
        if instrument in named:
            raise UsageError(f"{key} names {instrument} twice: as {named[instrument]!r} and as {text!r}")
        named[instrument] = text
    strangers = sorted(named.keys() - set(ids))
    left = sorted(set(ids) - named.keys())
    near = {i: meant for i in strangers if (meant := _meant(i, left))}
    far = [i for i in strangers if i not in near]
    said = f"not {what} of this run" if what else "not in this run"
    warnings += [f"{key} names {i}: {said}, and not used; {meant}" for i, meant in near.items()]
    if far:
        more = f" and {len(far) - _SHOWN} more" if len(far) > _SHOWN else ""
        warnings.append(f"{key} names {', '.join(far[:_SHOWN])}{more}: {said}, and not used")
    return {i: sections[text] for i, text in named.items() if i in ids}


def _meant(stranger: InstrumentId, ids: Collection[InstrumentId]) -> str:
    """Return a question after the instrument, of those of which nothing is said, that a name is nearly the same as."""
    if near := difflib.get_close_matches(stranger, sorted(ids), n=1, cutoff=0.85):
        return f"did you mean {near[0]}?"
    symbol = split_id(stranger)[1].partition("@")[0]
    contract = option_name(symbol)
    chain = f"{OPTION}:{contract.base}" if contract else ""  # its rules are those of its chain
    same = sorted(i for i in ids if split_id(i)[1] == symbol or (chain and i.startswith(chain)))
    return f"did you mean {same[0]}?" if same else ""
