"""How many examples of a property are tried: hundreds by default, many thousands with `--hypothesis-profile=long`."""

from typing import Final

from hypothesis import settings

LONG: Final = "long"
_TIMES: Final = 25


def is_long() -> bool:
    """Whether this run of the tests has the time for all."""
    return settings.get_current_profile_name() == LONG


def examples(usual: int) -> int:
    """Return how many examples to try of a property of which CI tries `usual`."""
    return usual * _TIMES if is_long() else usual
