"""What a strategy may not do, and the one message it is answered with: who, which hook, when, where, what to do."""

from pathlib import Path

import pytest

from backtester.core.errors import BacktesterError, StrategyError, UsageError
from backtester.engine.trial import closing_at, trial
from backtester.strategy.registry import find_strategy
from tests.support.cli import bt
from tests.support.lakes import two_coins

MARKET = closing_at([100, 101, 102, 103])
HEAD = """from backtester.strategy import *
from backtester.strategy.signals import *


class P(StrategyParams):
    fast: int = 3
    many: list = []


class Mine({base}):
    Params = P

"""
MADE = (
    "from backtester.core.events import MarketOrderIntent, Side; from decimal import Decimal; "
    "return [MarketOrderIntent(ts=self.now, instrument={instrument!r}, side=Side.BUY, qty=Decimal({qty!r}))]"
)


def answer(folder: Path, text: str, name: str = "mine.py:Mine") -> BacktesterError:
    """What a file's strategy is answered with."""
    (folder / "mine.py").write_text(text, encoding="utf-8")
    with pytest.raises(BacktesterError) as failure:
        trial(f"{folder}/{name}", MARKET, folder / "trial")
    return failure.value


@pytest.mark.parametrize(
    ("does", "says", "hint"),
    [
        ("return 'buy'", "on_candle returned 'buy', not a list of intents", ""),
        ("return True", "on_candle returned True, not a list", ""),
        ("return {'a': 1}", "on_candle returned {'a': 1}, not a list", ""),
        ("return self.buy('BTCUSDT', 1)", "returned one MarketOrderIntent, not a list of intents", ""),
        (
            "return {self.buy('BTCUSDT', 1)}",
            "a set, not a list of intents: a set has no order",
            "",
        ),
        ("return [7]", "not a list of intents: it holds 7", ""),
        ("return [[self.buy('BTCUSDT', 1)]]", "self.close and self.cancel_all return lists: [*self.close", ""),
        ("return [candle]", "not a list of intents: it holds Candle(", ""),
        ("return [self.buy('BTCUSDT', float('nan'))]", "nan is not a finite number", ""),
        ("return [self.buy('BTCUSDT', 1, limit=float('inf'))]", "inf is not a finite number", ""),
        ("return [self.buy('BTCUSDT', -1)]", "qty is -1: a size is positive", ""),
        ("return [self.buy('BTCUSDT', quote=-5)]", "quote is -5: a size is positive", ""),
        ("return [self.sell('BTCUSDT', fraction=-0.5)]", "fraction is -0.5: a size is positive", ""),
        ("return [self.buy('BTCUSDT', 'lots')]", "'lots' is not a number", ""),
        ("return [self.buy('BTCUSDT', 1, limt=5)]", "Unexpected keyword argument 'limt'", ""),
        ("return [self.buy('XYZUSDT', 1)]", "'XYZUSDT' is not in this run", "it has: spot:BTCUSDT"),
        ("self.position('ETHUSDT')", "'ETHUSDT' is not in this run", "it has: spot:BTCUSDT"),
        (MADE.format(instrument="spot:ETHUSDT", qty="1"), "'spot:ETHUSDT' is not in this run", "it has: spot:BTCUSDT"),
        (MADE.format(instrument="spot:BTCUSDT", qty="Infinity"), "Decimal('Infinity') is not a finite number", ""),
        ("candle.close = 5", "'Candle' cannot be changed", "read-only"),
        ("self.params.fast = 5", "parameters cannot be changed in a run: fast was set to 5", "read-only"),
        ("self.position('BTCUSDT').qty = 5", "'qty' of 'PositionView' object has no setter", "read-only"),
        ("self.call_at(self.now - 5)", "call_at was asked for 2024-01-01T00:00:59.999995Z, and it is", ""),
        ("self.call_at(self.now)", "a timer is for later", ""),
    ],
)
def test_what_a_hook_may_not_do_is_named_with_strategy_candle_and_line(
    tmp_path: Path, does: str, says: str, hint: str
) -> None:
    text = HEAD.format(base="Strategy") + f"    def on_candle(self, candle):\n        {does}\n"
    error = answer(tmp_path, text)
    assert error.message.startswith(
        "strategy Mine failed in on_candle at the 1m candle spot:BTCUSDT 2024-01-01 (mine.py, line 1"
    )
    assert says in error.message
    assert "\n" not in error.message
    assert len(error.message) < 400
    assert hint in error.hint


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "def on_start(self):\n        return {1}",
            "failed in on_start (mine.py, line 13): TypeError: on_start",
        ),
        ("def on_stop(self):\n        return [self.buy('BTCUSDT', 1)]", "after the last tick nothing can be wanted"),
        (
            "def on_candle(self, candle):\n        self.params.many.append(candle)",
            "strategy Mine changed a value inside its parameters in the run",
        ),
        ("async def on_candle(self, candle):\n        ...", "on_candle (mine.py, line 13) is async"),
        ("async def on_fill(self, fill):\n        yield 1", "on_fill (mine.py, line 13) is async"),
        ("def on_candle(self):\n        ...", "on_candle (mine.py, line 13) cannot be called with the candle alone"),
        ("def on_fill(self, fill, more):\n        ...", "cannot be called with the fill alone: missing a required"),
        ("def on_start(self, candle):\n        ...", "on_start (mine.py, line 13) cannot be called with nothing"),
        ("on_candle = 5", "on_candle is 5, it must be a method"),
        ("def __init__(self):\n        super().__init__(None)", "__init__ (mine.py, line 13) must take the parameters"),
        ("def __init__(self, params, more):\n        ...", "nothing else: missing a required argument: 'more'"),
        ("def __init__(self, params):\n        ...", "strategy Mine does not initialise its base class"),
        ("def __init__(self, params):\n        self.buy('X', 1)", "cannot be made (mine.py, line 13)"),
        (
            "def __init__(self, params):\n        super().__init__(params)\n        self.buy('X', 1)",
            "use on_start, not __init__",
        ),
    ],
)
def test_a_class_that_is_not_as_it_must_be_is_refused(tmp_path: Path, body: str, says: str) -> None:
    error = answer(tmp_path, HEAD.format(base="Strategy") + f"    {body}\n")
    assert isinstance(error, StrategyError)
    assert says in error.message


@pytest.mark.parametrize(
    "body",
    [
        "def on_candle(self, *rest):\n        ...",
        "@staticmethod\n    def on_candle(candle):\n        ...",
        "@classmethod\n    def on_candle(cls, candle, more=1):\n        ...",
        "def __init__(self, *a, **k):\n        super().__init__(*a, **k)",
        "def on_candle(self, candle):\n        yield self.buy('BTCUSDT', 1)",
        "on_candle = lambda self, candle: None",
    ],
)
def test_unusual_but_sound_hooks_run(tmp_path: Path, body: str) -> None:
    (tmp_path / "mine.py").write_text(HEAD.format(base="Strategy") + f"    {body}\n")
    assert len(trial(tmp_path / "mine.py:Mine", MARKET, tmp_path)) in (0, 3)


@pytest.mark.parametrize(
    "params", ["{'fast': 3}", "5", "None", "type('Q', (), {})", "__import__('pydantic').BaseModel", "P()"]
)
def test_params_that_are_no_strategy_params_are_refused(tmp_path: Path, params: str) -> None:
    error = answer(tmp_path, HEAD.format(base="Strategy").replace("Params = P", f"Params = {params}"))
    assert "it must be a class of parameters" in error.message
    assert error.hint.startswith("class MineParams(StrategyParams)")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "def on_candle(self, candle):\n        ...",
            "on_candle (mine.py, line 13) would take the place",
        ),
        ("min_change = 0.1", "has no targets"),
        ("def targets(self, frame):\n        frame['close'][0] = 5", "(mine.py, line 14): Mine failed in targets"),
        ("def targets(self, frame):\n        return frame['clsoe']", "(mine.py, line 14): the frame of"),
        (
            "def targets(self, frame):\n        return Targets(exposure=2.0)",
            "(mine.py, line 13): targets: exposure",
        ),
        ("def targets(self, frame):\n        return 1", "targets returned int, it must return Targets"),
    ],
)
def test_a_signal_that_breaks_the_rules_names_its_line(tmp_path: Path, body: str, says: str) -> None:
    assert says in answer(tmp_path, HEAD.format(base="SignalStrategy") + f"    {body}\n").message


@pytest.mark.parametrize(
    ("text", "name", "says", "hint"),
    [
        ("class Mine(\n", "mine.py:Mine", "mine.py, line 1: SyntaxError", "mend that line"),
        ("x = 1\nclass Mine:\nx = 2\n", "mine.py:Mine", "mine.py, line 3: IndentationError", "mend"),
        ("x = 1\n\x00\n", "mine.py:Mine", "mine.py", ""),
        (HEAD.format(base="Strategy"), "mine.py:Mien", "has no class 'Mien'", "did you mean 'Mine'?"),
        (
            HEAD.format(base="Strategy") + "\n\nclass Two(Mine): ...\n",
            "mine.py",
            "holds 2 strategies: Mine, Two",
            ":Mine",
        ),
        ("from backtester.strategy import Strategy\n", "mine.py", "holds no strategy", "subclasses"),
        ("from backtester.strategy import Strategy\n", "mine.py:Strategy", "has no class 'Strategy'", "none"),
    ],
)
def test_a_file_that_names_no_one_strategy(tmp_path: Path, text: str, name: str, says: str, hint: str) -> None:
    error = answer(tmp_path, text, name)
    assert says in error.message
    assert hint in error.hint


def test_a_file_with_one_strategy_needs_no_class_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD.format(base="Strategy"))
    found = find_strategy(str(tmp_path / "mine.py"))
    assert (found.name, found.name_in_folder) == ("Mine", "mine.py:Mine")
    with pytest.raises(UsageError, match="does not exist"):
        find_strategy(str(tmp_path / "gone.py"))


def test_a_misspelt_hook_is_warned_about(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 30)
    Path("mine.py").write_text(
        HEAD.format(base="Strategy")
        + "    def on_candel(self, candle):\n        ...\n\n    def onfill(self, fill):\n        ...\n\n"
        "    def on_start(self):\n        return [self.buy('BTCUSDT', 1)]\n\n    def once(self):\n        ...\n"
    )
    said = bt("run", "--strategy", "mine.py", "--symbols", "BTCUSDT", "--data", "lake", "--json")
    assert said.code == 0
    odd = [text for text in said.json["warnings"] if "hook" in text or "on_start" in text]
    assert odd == [
        "strategy Mine: on_candel (mine.py, line 13) is no hook and is never called; did you mean on_candle?",
        "strategy Mine: onfill (mine.py, line 16) is no hook and is never called; did you mean on_fill?",
        "1 intent that on_start returned went nowhere: no price is known then; return them from on_candle",
    ]


def test_reading_a_file_while_it_runs_is_what_a_check_finds(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 60)
    Path("mine.py").write_text(
        HEAD.format(base="Strategy") + "    def on_candle(self, candle):\n        open('notes.txt', 'a').close()\n"
    )
    asked = ("mine.py", "--symbols", "BTCUSDT", "--data", "lake", "--processes", "1", "--cuts", "1")
    said = bt("check", *asked)
    assert said.code == 4
    assert "mine.py, line 14" in said.message
    assert "a strategy reads and writes no files" in said.message
