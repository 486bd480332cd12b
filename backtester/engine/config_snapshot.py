"""The effective config of a run as TOML that alone repeats it, with the sources of a strategy of your own."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import tomli_w

from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import own_sources
from backtester.engine.run_folder import RunFolder

CONFIG = "config.toml"


def config_text(run: PreparedRun) -> bytes:
    """Return the content of config.toml."""
    content = plain_toml(run.config.model_dump())
    named = [content["strategy"]] if not run.config.strategies else content["strategies"]
    for sleeve, section in zip(run.sleeves, named, strict=True):
        if name := sleeve.found.name_in_folder:
            section["name"] = f"source/{name}"
    del content["strategy" if run.config.strategies else "strategies"]
    return tomli_w.dumps(content).encode()


def write_config(run: PreparedRun, folder: RunFolder) -> None:
    """Write config.toml, and what it names under source/."""
    sources: dict[str, Path] = {}
    for sleeve in run.sleeves:
        sources |= own_sources(sleeve.found)
    for relative, path in sources.items():
        folder.write(f"source/{relative}", path.read_bytes())
    for sleeve in run.sleeves:
        for relative, source in sleeve.found.written.items():
            folder.write(f"source/{relative}", source)
    folder.write(CONFIG, config_text(run))


def plain_toml(value: Any) -> Any:
    """Return a dumped model as TOML can hold it: exact decimals as text, without what is None."""
    if isinstance(value, dict):
        return {key: plain_toml(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain_toml(item) for item in value]
    return f"{value:f}" if isinstance(value, Decimal) else value
