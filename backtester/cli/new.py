"""`bt new strategy`: a strategy, its TOML and a test that pass at once."""

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Annotated, Final, Literal

import typer

from backtester.cli.console import console, print_json

new_app = typer.Typer(help="Write the files of something new.", no_args_is_help=True)

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN: Final = frozenset({"backtester", "conftest", "pyproject", "pytest", "ruff", "setup", "tox", "uv"})
_PARAMS_TEST: Final = '''def test_the_file_of_parameters_is_accepted() -> None:
    """$name.toml says what the parameters allow."""
    assert $cls.Params.model_validate(tomllib.loads((HERE / "$name.toml").read_text(encoding="utf-8")))
'''
_COMPOSED_TEST: Final = '''def test_the_stop_ends_a_trade_that_falls_inside_a_candle(tmp_path: Path) -> None:
    """Stops work inside candles: five percent below the close that decided."""
    candles = [*closing_at(CLOSES[:5]), (102.0, 102.0, 90.0, 102.0)]
    fills = trial(STRATEGY, candles, tmp_path, candles=3, stop_pct=5.0)
    assert [(fill.side, fill.candle, float(fill.price)) for fill in fills] == [("buy", 4, 101.0), ("sell", 5, 95.95)]
'''


@new_app.callback()
def _root() -> None:
    """Write the files of something new."""


@new_app.command("strategy")
def new_strategy_command(
    name: Annotated[str, typer.Argument(help="Its name, lower case: my_trend.")],
    kind: Annotated[
        Literal["candle", "signal", "toml"],
        typer.Option(help="candle: hooks in Python; signal: columns in Python; toml: composed, without code."),
    ] = "candle",
    to: Annotated[Path, typer.Option(help="Folder in which the files are written.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Write a strategy, its TOML and a test that pass at once; nothing is overwritten.

    Example: bt new strategy my_trend --kind signal
    """
    written = write_strategy(name, kind, to)
    strategy = _shown(to, f"{name}.toml" if kind == "toml" else f"{name}.py:{class_name(name)}")
    steps = {
        "test": f"pytest {_shown(to, f'test_{name}.py')}",
        "show": f"bt strategies {strategy}",
        "run": f"bt run --strategy {strategy} --symbols BTCUSDT --timeframe 1h",
        "check": f"bt check {strategy} --symbols BTCUSDT --timeframe 1h",
    }
    if as_json:
        print_json({"name": name, "kind": kind, "files": [str(path) for path in written], "next": steps})
        return
    out = console()
    for path in written:
        out.print(f"wrote {path}", markup=False, soft_wrap=True)
    out.print("next", markup=False)
    for words, command in zip(
        ("it passes:", "its parameters:", "on your lake (bt data sample makes one):", "that it does not look ahead:"),
        steps.values(),
        strict=True,
    ):
        out.print(f"  {command:60}  # {words.rstrip(':')}", markup=False, soft_wrap=True)


def write_strategy(name: str, kind: str, folder: Path) -> list[Path]:
    """Write the files of a new strategy and return them.

    Raises:
        UsageError: the name cannot be used, or a file of it is already there.
        StorageError: the folder cannot be written.
    """
    from backtester.core.errors import StorageError, UsageError

    _check_name(name)
    contents = _contents(name, kind)
    if there := [str(folder / file) for file in contents if (folder / file).exists()]:
        raise UsageError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} already there, and nothing was written",
            hint="choose another name, or another folder with --to",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in contents.items():
            with (folder / file).open("x", encoding="utf-8") as target:
                target.write(text)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}") from error
    return [folder / file for file in contents]


def class_name(name: str) -> str:
    """Return the class of a name: my_trend is MyTrend."""
    return "".join(part.capitalize() for part in name.split("_"))


def _contents(name: str, kind: str) -> dict[str, str]:
    """Return the files by name."""
    cls = class_name(name)
    values = {"name": name, "cls": cls}
    if kind == "toml":
        own = {f"{name}.toml": _template("composed.toml", values)}
        last, target, imports = _COMPOSED_TEST, f"{name}.toml", ""
    else:
        own = {f"{name}.{suffix}": _template(f"{kind}.{suffix}", values) for suffix in ("py", "toml")}
        last, target = Template(_PARAMS_TEST).substitute(values), f"{name}.py:{cls}"
        imports = f"\nfrom {name} import {cls}\n"
    test = _template("test.py", values | {"target": target, "imports": imports, "last": last.rstrip("\n")})
    if kind != "toml":
        test = test.replace("from pathlib import Path\n", "import tomllib\nfrom pathlib import Path\n", 1)
    return {**own, f"test_{name}.py": test}


def _template(file: str, values: dict[str, str]) -> str:
    text = files("backtester.cli").joinpath("templates", f"{file}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _check_name(name: str) -> None:
    """Refuse a name that Python or the registry could not use.

    Raises:
        UsageError: says which names can be used.
    """
    from backtester.core.errors import UsageError
    from backtester.strategy.registry import strategy_names

    hint = "lower case letters, digits and _, a letter first: my_trend"
    if not _NAME.fullmatch(name) or name.endswith("_"):
        raise UsageError(f"{name!r} is no name of a strategy", hint=hint)
    if keyword.iskeyword(name) or name.startswith("test_"):
        raise UsageError(f"{name!r} means something else in Python", hint=hint)
    if name in strategy_names():
        raise UsageError(f"there is a strategy {name!r} already", hint="bt strategies lists them; choose another name")
    if name in _TAKEN:
        raise UsageError(f"{name!r}: files of that name mean something to pytest or to tools", hint=f"my_{name}")
    if _is_installed(name):
        raise UsageError(
            f"{name!r} is the name of a Python module, which a file of that name would hide", hint=f"my_{name}"
        )


def _is_installed(name: str) -> bool:
    """Say whether a file of this name would stand in the way of an import."""
    import sys

    if name in sys.stdlib_module_names:
        return True
    spec = find_spec(name)
    places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or ())]
    roots = [Path(root).resolve() for root in (sys.prefix, sys.base_prefix)]
    return any(Path(place).resolve().is_relative_to(root) for place in places if place for root in roots)


def _shown(folder: Path, name: str) -> str:
    return name if folder == Path() else str(folder / name)
