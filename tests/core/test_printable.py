"""Control characters are written out, and all else stays."""

from hypothesis import given
from hypothesis.strategies import text

from backtester.core.printable import printable


def test_what_steers_a_terminal_is_written_out() -> None:
    assert printable("\x1b[31mred\x1b[0m") == "\\x1b[31mred\\x1b[0m"
    assert printable("a\nb\tc\u2028d\u202ee\x9b") == "a\\nb\\tc\\u2028d\\u202ee\\x9b"
    assert printable("é → 1\u00a0000 €") == "é → 1\u00a0000 €"


@given(text())
def test_nothing_is_left_that_steers_and_what_is_shown_stays(given: str) -> None:
    shown = printable(given)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    assert printable(shown) == shown
