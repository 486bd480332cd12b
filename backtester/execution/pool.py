"""What there is to take: a quantity of an instrument that our orders may consume, once."""

from typing import Final

NO_CAP: Final = 2**62


class Pool:
    """A quantity (10^-q) that the market offers us at one moment or along one candle; what fills take is gone.

    volume: all that traded there, of which it is our part; 0 when that is not known. window: when the candle began
    along which what we take adds up; -1 on a tape, where it is one of the run's timeframe.
    """

    __slots__ = ("left", "volume", "window")

    def __init__(self, left: int = NO_CAP, volume: int = 0, window: int = -1) -> None:
        self.left = left
        self.volume = volume
        self.window = window
