"""The trial ledger: runs/trials.jsonl, a line per complete run, so that a result can be judged by how many were tried.

Two runs are of one family when they are of one strategy over the same data; they are two trials when its code, its
parameters or any other thing differ that is chosen for its result. Assumptions on costs and fills are no such choice.
Trials of any strategy that traded one of the same symbols in some of the same time are counted beside the family.
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
    """One line. family, trial, data, strategy, returns_digest: digests. returns: of whole days, float64, base64.

    symbols: with their markets; start, end: µs UTC: what it traded and when.
    """

    family: str
    trial: str
    data: str
    strategy: str
    params: dict[str, Any]
    returns_digest: str
    sharpe_per_day: float | None
    returns: str
    symbols: list[str]
    start: int
    end: int
    run_id: str = ""

    def overlaps(self, other: "Try") -> bool:
        """Say whether both traded one symbol in some of the same time."""
        in_time = self.start < other.end and other.start < self.end
        return in_time and not set(self.symbols).isdisjoint(other.symbols)

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
        symbols=list(config["run"]["symbols"]),
        start=run.start,
        end=run.end,
    )


def known_trials(ledger: Path, tried: Try) -> dict[str, Any]:
    """Return what all distinct trials of a family say, this one among them: `report.selection.Trials`, by name.

    Its `overlapping` counts the distinct trials on overlapping data, whatever their strategy, this one among them. A
    trial on other data is another one.
    """
    family, overlapping = dict[str, Try](), {(tried.data, tried.trial)}
    for one in _lines(ledger):
        if one.family == tried.family:
            family[one.trial] = one
        if one.overlaps(tried):
            overlapping.add((one.data, one.trial))
    family[tried.trial] = tried
    latest = list(family.values())[-_MOST_COMPARED:]
    found = trials_of([one.daily for one in latest], [one.sharpe_per_day for one in family.values()])
    found = found._replace(distinct=len(family), overlapping=len(overlapping))
    return {"family": tried.family, **found._asdict()}


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


def _lines(ledger: Path) -> Iterator[Try]:
    """Yield what was tried; what a killed run left of its last line is passed over."""
    if not ledger.is_file():
        return
    decoder = msgspec.json.Decoder(Try)
    with ledger.open("rb") as lines:
        for line in lines:
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError:
                continue


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
