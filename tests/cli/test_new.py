"""`bt new strategy`: what it writes passes at once, and nothing of a user's is overwritten."""

import subprocess
import sys
from pathlib import Path

import pytest

from backtester.strategy.params import parameters_of
from backtester.strategy.registry import find_strategy
from tests.support.cli import bt
from tests.support.lakes import two_coins

KINDS = ["candle", "signal", "toml"]


def ran(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_passes_its_test_and_is_clean(tmp_path: Path, kind: str) -> None:
    said = bt("new", "strategy", "my_rule", "--kind", kind)
    assert said.code == 0
    assert "passed" in ran("pytest", "-q", "-p", "no:cacheprovider", "test_my_rule.py")
    ran("ruff", "check", "--isolated", "--line-length", "120", "--select", "E,F,W,I,N,UP,B,A,D1,PT,RET,RUF", ".")
    ran("ruff", "format", "--isolated", "--line-length", "120", "--check", ".")


@pytest.mark.parametrize("kind", ["candle", "signal"])
def test_what_is_written_is_typed(tmp_path: Path, kind: str) -> None:
    bt("new", "strategy", "my_rule", "--kind", kind)
    ran("mypy", "--strict", "--follow-imports", "silent", "my_rule.py", "--cache-dir", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_that_is_written_fails_when_the_rule_is_broken(tmp_path: Path, kind: str) -> None:
    bt("new", "strategy", "my_rule", "--kind", kind)
    file = Path("my_rule.toml" if kind == "toml" else "my_rule.py")
    text = file.read_text()
    broken = text.replace('"above", a = "close"', '"below", a = "close"').replace("close > mean", "close < mean")
    assert broken != text
    file.write_text(broken)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "test_my_rule.py"], capture_output=True, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_that_come_next_work(tmp_path: Path, kind: str) -> None:
    two_coins(tmp_path / "data", 240)
    steps = bt("new", "strategy", "my_rule", "--kind", kind, "--json").json["next"]
    for name in ("show", "run", "check"):
        command = [*steps[name].split()[1:], *(["--timeframe", "1m"] if name != "show" else [])]
        command += ["--cuts", "1", "--processes", "1"] if name == "check" else []
        said = bt(*command)
        assert said.code == 0, said.err


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_that_is_written_has_a_unit_bounds_and_words(tmp_path: Path, kind: str) -> None:
    bt("new", "strategy", "my_rule", "--kind", kind)
    found = find_strategy("my_rule.toml" if kind == "toml" else "my_rule.py:MyRule")
    for one in parameters_of(found.cls.Params):
        assert one.unit, one
        assert one.bounds, one
        assert one.description, one


def test_files_go_to_a_folder_and_are_named_in_one_object(tmp_path: Path) -> None:
    said = bt("new", "strategy", "my_rule", "--to", "desk/deep", "--json").json
    assert said["files"] == [f"desk/deep/{name}" for name in ("my_rule.py", "my_rule.toml", "test_my_rule.py")]
    assert all(Path(file).is_file() for file in said["files"])


@pytest.mark.parametrize("there", ["my_rule.py", "my_rule.toml", "test_my_rule.py"])
def test_nothing_is_overwritten_and_nothing_is_half_written(tmp_path: Path, there: str) -> None:
    Path(there).write_text("mine\n")
    said = bt("new", "strategy", "my_rule")
    assert said.code == 2
    assert f"{there} is already there, and nothing was written" in said.message
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert Path(there).read_text() == "mine\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MyRule", "'MyRule' is no name of a strategy"),
        ("my-rule", "my_trend"),
        ("1rule", "is no name"),
        ("", "is no name"),
        ("../rule", "is no name"),
        ("rule.py", "is no name"),
        ("class", "means something else in Python"),
        ("test_rule", "means something else"),
        ("sma_cross", "there is a strategy 'sma_cross' already"),
        ("json", "is the name of a Python module"),
        ("numpy", "would hide"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_message(tmp_path: Path, name: str, says: str) -> None:
    said = bt("new", "strategy", name)
    assert said.code == 2
    assert says in said.message
    assert list(tmp_path.iterdir()) == []


def test_a_kind_that_is_none_says_which_there_are(tmp_path: Path) -> None:
    said = bt("new", "strategy", "my_rule", "--kind", "java")
    assert said.code == 2
    assert "toml" in said.message


@pytest.mark.parametrize("name", ["pytest", "conftest", "pyproject", "backtester"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_would_break_the_test_that_is_written_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    said = bt("new", "strategy", name, "--kind", kind)
    assert said.code == 2
    assert repr(name) in said.message
    assert f"my_{name}" in said.message
    assert not list(tmp_path.glob(f"*{name}*"))
