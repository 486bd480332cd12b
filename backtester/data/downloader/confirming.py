"""When an archive appears whose rows an exchange's interface had told before: equal rows are worth recording."""

from collections.abc import Sequence

from backtester.data.partition import Source


def confirms(before: Sequence[Source], new: Sequence[Source]) -> bool:
    """Say whether archives have come for a partition of whose rows only an exchange's interface had told."""
    told = any(source.address.startswith(("http://", "https://")) for source in before)
    return told and any(source.address.startswith("data/") and source not in before for source in new)
