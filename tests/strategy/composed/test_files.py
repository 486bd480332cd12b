"""Files of composed strategies: what a user may write, what a mistake is answered with, and parts of one's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import bt
from tests.support.lakes import two_coins

GOOD = """about = "Above the mean."
[params]
window = { default = 5, min = 2, max = 50, unit = "candles", description = "of the mean" }
[features]
mean = { indicator = "sma", window = "$window" }
[entry.long]
all = [{ rule = "above", a = "close", b = "mean" }]
[exit]
any = [{ rule = "below", a = "close", b = "mean" }]
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    two_coins(folder, 240)
    return folder


def run(lake: Path, *more: object, text: str = GOOD) -> Any:
    Path("mine.toml").write_text(text, encoding="utf-8")
    return bt("run", "--strategy", "mine.toml", "--symbols", "BTCUSDT", "--data", lake, "--json", *more)


def fills(said: Any) -> int:
    return int(json.loads((Path(said.json["path"]) / "run.json").read_text())["counts"]["fills"])


def test_a_file_runs_and_its_parameters_are_options(tmp_path: Path, lake: Path) -> None:
    assert 0 < fills(run(lake, "-p", "window=50")) < fills(run(lake))


def test_a_parameters_file_named_like_the_strategy_is_not_its(tmp_path: Path, lake: Path) -> None:
    Path("configs").mkdir()
    Path("configs/mine.toml").write_text("nonsense = 1\n")
    assert run(lake).code == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('rule = "above"', 'rule = "abov"', ["entry.long.all[0]: rule 'abov' is not known", "did you mean 'above'?"]),
        ('b = "mean"', 'b = "maen"', ["entry.long.all[0]: column 'maen' is not known", "did you mean 'mean'?"]),
        ('b = "mean"', "c = 7", ["above needs 'b'", "above takes a, b"]),
        ('b = "mean"', 'b = "mean", d = 1', ["above: key 'd' is not known"]),
        ('a = "close", b = "mean"', "a = 1, b = 2", ["compares numbers alone"]),
        ('b = "mean"', "b = true", ["b = True is neither a column nor a number"]),
        ('"sma"', '"smaa"', ["features.mean: indicator 'smaa' is not known", "did you mean 'sma'?"]),
        ('window = "$', 'n = "$', ["features.mean", "key 'n' is not known", "window"]),
        ('"$window"', '"$widow"', ["parameter '$widow' is not known", "did you mean '$window'?"]),
        ('window = "$window"', "window = 0", ["features.mean: sma: window = 0", "greater than or equal to 1"]),
        ('window = "$window"', "window = 5", ["params.window is used nowhere", '"$window"']),
        ("default = 5", "default = 1", ["defaults of [params]", "window = 1", "greater than or equal to 2"]),
        ("unit =", "uint =", ["params.window", "uint"]),
        ('"sma",', '"sma", timeframe = "7m",', ["timeframe '7m' is not known", "15m"]),
        ('"sma",', '"sma", symbol = "ETHUSDT",', ["names no market", "spot:ETHUSDT"]),
        ("[entry.long]", "[entry.lnog]", ["unknown key 'entry.lnog'", "did you mean 'long'?"]),
        ("[exit]", "[exti]", ["unknown key 'exti'", "did you mean 'exit'?"]),
        ("[exit]", "[exit.plan]\nstop_pc = 2\n[exit]", ["exit.plan", "unknown key 'stop_pc'", "'stop_pct'"]),
        ("[exit]", "[exit.plan]\nstop = 2\n[exit]", ["stop = 2, it must name a column", "stop_pct"]),
        ("[exit]", "[target]\nexposure = 2\n[exit]", ["target: exposure is 2", "[0, 1]"]),
        ("[exit]", "[exit.plan]\nbreak_even_r = 1\n[exit]", ["break_even_r means nothing without a stop"]),
        ('about = "Above the mean."', "", ["'about' is missing"]),
        ("[params]", 'require = ["window < big"]\n[params]', ["require 'window < big'", "'big' is not known"]),
        ("[params]", 'require = ["window"]\n[params]', ["is no comparison", "fast < slow"]),
        ("[params]", 'require = ["window > 9"]\n[params]', ["window (5) must be more than 9"]),
        ('[{ rule = "above", a = "close", b = "mean" }]', "[{ any = 3 }]", ["entry.long.all[0]: any is a list"]),
        ('[{ rule = "above", a = "close", b = "mean" }]', "[{ a = 3 }]", ["must say one of: rule, all, any, none"]),
        ('rule = "above"', 'rule = "gone.py:up"', ["there is no file gone.py beside"]),
        ('rule = "above"', 'rule = "../up.py:up"', ["lies beside the strategy's, or below"]),
        ("max = 50", "max = inf", ["params.window", "max", "finite"]),
        ("min = 2", "min = nan", ["params.window", "min", "finite"]),
        ("default = 5,", 'default = "above",', ["params.window", "are of numbers, and this parameter is none"]),
        ("min = 2,", "choices = [5, 6], min = 2,", ["params.window", "choices say all that is allowed"]),
        ("[entry.long]", '[entry.long]\ntag = "$window"', ["mine.toml: with the values of [params]", "entry.long.tag"]),
        ("[params]", 'require = ["s < 10"]\n[params]\ns = "a"', ["require 's < 10': s is no number"]),
        ("[params]", "[params]\nschema = 3", ["params.schema: that name is taken by pydantic"]),
        ("[params]", "[params]\ncopy = 3", ["params.copy: that name is taken"]),
        ("[exit]", '[exit.plan]\nstop = "low"\nstop_pct = 3\n[exit]', ["stop and stop_pct both say"]),
        ("[exit]", '[exit.plan]\ntrail = "low"\ntrail_pct = 3\n[exit]', ["trail and trail_pct both say"]),
        (
            "[exit]",
            '[filter]\nnone = [{ rule = "weekdays", days = [] }]\n[exit]',
            ["filter.none[0]: weekdays: days", "at least 1"],
        ),
        ("[exit]", "[target]\nexposure = 0\n[exit]", ["target: the exposure of long is 0"]),
        ("[exit]", "[filter]\nall = [{ any = [] }]\n[exit]", ["filter.all[0]: any is empty"]),
        ("mean =", "close =", ["features.close: 'close' is a column of every candle"]),
        ("[entry.long]", "[entry.long", ["mine.toml is not valid TOML", "line 6"]),
    ],
)
def test_a_mistake_names_its_place_and_what_is_allowed(
    tmp_path: Path, lake: Path, old: str, new: str, says: list[str]
) -> None:
    assert old in GOOD
    said = run(lake, text=GOOD.replace(old, new, 1))
    assert said.code in (1, 2)
    assert "mine" in said.message
    for text in says:
        assert text in said.message


def test_a_dollar_in_the_sentence_of_what_it_does_is_no_parameter(tmp_path: Path, lake: Path) -> None:
    assert run(lake, text=GOOD.replace("Above the mean.", "$5 stop")).code == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"sma",', '"sma", input = "mean",', "need each other in a circle"),
        ('b = "mean"', 'b = "mean.upper"', "mean.upper"),
        ('"sma",', '"sma", timeframe = "5m",', "a shorter timeframe"),
        ("[exit]", "[exit.plan]\nbreak_even_r = 1\n[exit]", "break_even_r means nothing without a stop"),
        ("mean =", "close =", "'close' is a column of every candle"),
    ],
)
def test_what_a_run_would_refuse_is_refused_when_a_file_is_shown(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    Path("mine.toml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    said = bt("strategies", "mine.toml", "--timeframe", "15m")
    assert said.code == 2
    assert "mine.toml" in said.message
    assert says in said.message


def test_a_file_of_parameters_is_not_taken_for_a_strategy(tmp_path: Path, lake: Path) -> None:
    said = run(lake, text="fast = 5\n")
    assert said.code == 2
    assert "mine.toml composes no strategy: it has no [entry]" in said.message
    assert "--params" in said.message


def test_a_parameter_out_of_its_bounds_is_refused(tmp_path: Path, lake: Path) -> None:
    said = run(lake, "-p", "window=51")
    assert said.code == 2
    assert "window = 51: input should be less than or equal to 50" in said.message


OWN = '''"""Parts of one's own."""

import numpy as np

from backtester.strategy.composed import formula_part, rule
from backtester.strategy.features.frame import Values
from backtester.strategy.indicators import Sma


@formula_part
def typical(high: Values, low: Values, close: Values) -> Values:
    """The middle of a candle."""
    return (high + low + close) / 3


@rule(rows=2)
def green(a: Values, least: float = 0.0) -> Values:
    """a rose by more than so much."""
    return a - np.append(np.nan, a[:-1]) > least


@rule
def seven(a: Values) -> Values:
    """Says no yes or no."""
    return a * 7


class Mine(Sma):
    """A mean under another name."""

    name = "mine"
'''


def with_own(rule: str) -> str:
    return (
        GOOD.replace('"sma"', '"own.py:Mine", input = "middle"')
        .replace(
            "[features]",
            '[features]\nmiddle = { formula = "own.py:typical", high = "high", low = "low", close = "close" }',
        )
        .replace('rule = "above", a = "close", b = "mean"', rule)
    )


def test_rules_formulas_and_indicators_of_ones_own_are_copied_with_the_run(tmp_path: Path, lake: Path) -> None:
    Path("own.py").write_text(OWN, encoding="utf-8")
    said = run(lake, text=with_own('rule = "own.py:green", a = "mean", least = 0.01'))
    assert fills(said) > 5
    folder = Path(said.json["path"])
    assert (folder / "source" / "own.py").read_text() == OWN
    Path("own.py").unlink()
    Path("mine.toml").unlink()
    verified = bt("replay", folder, "--verify")
    assert verified.code == 0
    assert "byte for byte" in verified.out


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('rule = "own.py:gone"', "own.py has no 'gone'"),
        ('rule = "own.py:typical"', "what was found is a formula"),
        ('rule = "own.py:Mine"', "what was found is no part"),
        ('rule = "own.py:green", a = "mean", least = "high"', "least = 'high'"),
        ('rule = "own.py:seven", a = "mean"', "the rule seven gave float64, it must give true or false"),
    ],
)
def test_a_part_of_ones_own_that_is_none(tmp_path: Path, lake: Path, rule: str, says: str) -> None:
    Path("own.py").write_text(OWN, encoding="utf-8")
    said = run(lake, text=with_own(rule))
    assert said.code in (1, 2)
    assert says in said.message


def test_a_file_of_parts_with_a_syntax_error_names_the_line(tmp_path: Path, lake: Path) -> None:
    Path("own.py").write_text("x = 1\ndef green(:\n", encoding="utf-8")
    said = run(lake, text=with_own('rule = "own.py:green", a = "mean"'))
    assert said.code == 1
    assert "own.py, line 2: SyntaxError" in said.message


def test_what_a_part_does_to_look_ahead_is_found(tmp_path: Path, lake: Path) -> None:
    Path("own.py").write_text(
        OWN.replace("a - np.append(np.nan, a[:-1]) > least", "np.append(a[1:], 0) - a > least"), encoding="utf-8"
    )
    Path("mine.toml").write_text(with_own('rule = "own.py:green", a = "mean"'), encoding="utf-8")
    said = bt("check", "mine.toml", "--symbols", "BTCUSDT", "--data", lake, "--processes", "1", "--cuts", "2")
    assert said.code == 4
    assert "mine looks ahead: exposure of spot:BTCUSDT" in said.message


def test_an_honest_file_is_proven(tmp_path: Path, lake: Path) -> None:
    Path("mine.toml").write_text(GOOD, encoding="utf-8")
    said = bt("check", "mine.toml", "--symbols", "BTCUSDT", "--data", lake, "--processes", "1", "--cuts", "2", "--json")
    assert (said.code, said.json["verdict"]) == (0, "proven")
