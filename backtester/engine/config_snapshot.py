"""The effective config of a run as TOML that alone repeats it, with the sources of a strategy of your own."""

from decimal import Decimal
from typing import Any

import tomli_w

from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import modules_below
from backtester.engine.run_folder import RunFolder

CONFIG = "config.toml"


def config_text(run: PreparedRun) -> bytes:
    """Return the content of config.toml."""
    content = plain_toml(run.config.model_dump())
    file = run.found.file.name if run.found.file is not None else next(iter(run.found.written), "")
    if file:
        content["strategy"]["name"] = f"source/{file}:{run.found.cls.__name__}"
    return tomli_w.dumps(content).encode()


def write_config(run: PreparedRun, folder: RunFolder) -> None:
    """Write config.toml, and what it names under source/."""
    if run.found.file is not None:
        for relative, path in modules_below(run.found.file.parent).items():
            folder.write(f"source/{relative}", path.read_bytes())
    for relative, source in run.found.written.items():
        folder.write(f"source/{relative}", source)
    folder.write(CONFIG, config_text(run))


def plain_toml(value: Any) -> Any:
    """Return a dumped model as TOML can hold it: exact decimals as text, without what is None."""
    if isinstance(value, dict):
        return {key: plain_toml(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain_toml(item) for item in value]
    return f"{value:f}" if isinstance(value, Decimal) else value
