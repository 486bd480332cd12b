"""The trial ledger: runs/trials.jsonl, a line per complete run, so that a result can be judged by how many were tried.

Two runs are of one family when they are of one strategy over the same data; they are two trials when its code, its
parameters or any other thing differ that is chosen for its result. Assumptions on costs and fills are no such choice.
"""

import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import StorageError
from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import digest_of
from backtester.engine.run_metrics import equity_rows
from backtester.report.returns import sharpe_of
from backtester.report.selection import trials_of
from backtester.report.series import EquitySeries, daily

_ASSUMED: Final = {"fees", "slippage", "execution", "instruments", "data", "account"}
_MOST_COMPARED: Final = 200  # the latest of a family; all are counted


class Try(msgspec.Struct, frozen=True):
    """One line. family, trial, data, strategy, returns_digest: digests. returns: of whole days, float64, base64."""

    family: str
    trial: str
    data: str
    strategy: str
    params: dict[str, Any]
    returns_digest: str
    sharpe_per_day: float | None
    returns: str
    run_id: str = ""

    @property
    def daily(self) -> NDArray[np.float64]:
        """Daily returns, shape (n,)."""
        return np.frombuffer(b64decode(self.returns), dtype="<f8")


def try_of(run: PreparedRun, details: dict[str, Any], folder: Path) -> Try:
    """Return what the ledger remembers of a run. details: its run.json; folder: where its tables are."""
    times, equity = equity_rows(folder)
    returns = daily(EquitySeries(times, equity, np.zeros_like(equity))).returns
    per_day = sharpe_of(returns)[0] if equity.min() > 0 else None
    content = returns.astype("<f8").tobytes()
    config = run.config.model_dump(mode="json")
    data = _digest([[p["path"], p["content"]] for p in details["data"]], details["range"], config["run"]["symbols"])
    code = _digest(details["strategy"], _source(run))
    chosen = {section: value for section, value in config.items() if section not in _ASSUMED}
    return Try(
        family=_digest(run.name, data),
        trial=_digest(code, chosen),
        data=data,
        strategy=code,
        params=_params(run),
        returns_digest=digest_of(content),
        sharpe_per_day=per_day,
        returns=b64encode(content).decode(),
    )


def known_trials(ledger: Path, tried: Try) -> dict[str, Any]:
    """Return what all distinct trials of a family say, this one among them: `report.selection.Trials`, by name."""
    family = {one.trial: one for one in _lines(ledger, tried.family)}
    family[tried.trial] = tried
    latest = list(family.values())[-_MOST_COMPARED:]
    found = trials_of([one.daily for one in latest], [one.sharpe_per_day for one in family.values()])
    return {"family": tried.family, **found._replace(distinct=len(family))._asdict()}


def remember(ledger: Path, run_id: str, tried: Try) -> None:
    """Append a trial.

    Raises:
        StorageError: the runs folder cannot be written.
    """
    line = msgspec.json.encode(msgspec.structs.replace(tried, run_id=run_id)) + b"\n"
    try:
        descriptor = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" * torn + line)  # one write, so that runs side by side do not mix their lines
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"{ledger} cannot be written: {error.strerror}") from None


def _lines(ledger: Path, family: str) -> Iterator[Try]:
    """Yield a family's lines; what a killed run left of its last line is passed over."""
    if not ledger.is_file():
        return
    wanted = family.encode()
    with ledger.open("rb") as lines:
        for line in lines:
            if wanted not in line:
                continue
            try:
                one = msgspec.json.decode(line, type=Try)
            except msgspec.DecodeError:
                continue
            if one.family == family:
                yield one


def _params(run: PreparedRun) -> dict[str, Any]:
    """Return the strategy's parameters; of several, each one's under its id."""
    found = {sleeve.id: sleeve.params.model_dump(mode="json") for sleeve in run.sleeves}
    return found if run.config.strategies else found[""]


def _source(run: PreparedRun) -> str:
    """Return the digest of the files that the strategies' classes are in, where they are in one."""
    modules = [sys.modules.get(sleeve.found.cls.__module__) for sleeve in run.sleeves]
    files = [file for module in modules if (file := getattr(module, "__file__", None)) and Path(file).is_file()]
    return _digest(*(digest_of(Path(file).read_bytes()) for file in files))


def _digest(*parts: Any) -> str:
    return digest_of(msgspec.json.encode(parts, order="sorted"))
