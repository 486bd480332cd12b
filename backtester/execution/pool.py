"""What there is to take: a quantity of an instrument that our orders may consume, once."""

from typing import Final

NO_CAP: Final = 2**62


class Pool:
    """A quantity (10^-q) that the market offers us at one moment or along one candle; what fills take is gone."""

    __slots__ = ("left",)

    def __init__(self, left: int = NO_CAP) -> None:
        self.left = left
