"""`Run`: a sealed run's folder, read when asked."""

import tempfile
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from backtester.api.explanation import Explanation
from backtester.api.figures import Metrics
from backtester.api.frames import log_frame, table
from backtester.api.hints import hinted
from backtester.api.plots import Plots
from backtester.api.waiting import waited_for
from backtester.core.errors import UsageError
from backtester.engine.check.certificate import read_certificate
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.explain.explaining import explain
from backtester.engine.explain.run_files import RunFiles
from backtester.engine.replay import LOG, read_run_json, replay, verify
from backtester.engine.run_folder import find_run
from backtester.engine.run_summaries import params_of


class Run:
    """A sealed run. Tables are Polars frames, times in them UTC; what is read once is kept.

    path: its folder, docs/run-folder.md says what it holds.
    """

    def __init__(self, path: Path, scratch: "tempfile.TemporaryDirectory[str] | None" = None) -> None:
        """Open a run; scratch: the folder of a temporary one, which goes with this object."""
        details = read_run_json(path)
        if details is None:
            raise UsageError(f"{path} was never sealed: it is not a result", hint=f"bt replay {path} reads its log")
        self.path = path.absolute()  # the working directory may change while a notebook is open
        self.details: dict[str, Any] = details
        self._scratch = scratch

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def status(self) -> str:
        """Complete, interrupted or failed."""
        return str(self.details["status"])

    @property
    def strategy(self) -> str:
        """The name of its strategy."""
        return str(self.details["strategy"]["name"])

    @property
    def digest(self) -> str:
        """The digest of its log: equal for equal runs."""
        return str(self.details["log"]["digest"])

    @property
    def warnings(self) -> list[str]:
        """What a reader of the result must know."""
        return list(self.details["warnings"])

    @property
    def assumptions(self) -> dict[str, str]:
        """What the simulated exchange assumed, in words."""
        return dict(self.details["assumptions"])

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole effective config, every default spelled out."""
        return tomllib.loads((self.path / CONFIG).read_text(encoding="utf-8"))

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of its strategy; of several strategies under their ids."""
        return params_of(self.config)

    @cached_property
    def metrics(self) -> Metrics:
        """Its figures."""
        return Metrics(msgspec.json.decode((self.path / "metrics.json").read_bytes()))

    @property
    @hinted
    def certificate(self) -> dict[str, Any] | None:
        """What `bt check` found of it, None when it was not checked; raises CheckFailed for one of another run."""
        return read_certificate(self.path, self.details)

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Closed round trips."""
        return self.table("trades")

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Executions."""
        return self.table("fills")

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Orders and what became of them."""
        return self.table("orders")

    @cached_property
    def equity(self) -> pl.DataFrame:
        """The account's value at every boundary of the timeframe and after every fill."""
        return self.table("equity")

    @hinted
    def table(self, name: str, *, exact: bool = True) -> pl.DataFrame:
        """Return a table by name (docs/run-folder.md); exact=False: decimals as floats, for statistics and plots."""
        return table(self.path, name, exact=exact)

    @hinted
    def log(self, topic: str | tuple[str, ...] = ()) -> pl.DataFrame:
        """Return the lines of the log, of one topic with a column per field; see docs/run-folder.md.

        Of several topics, or of all, `event` is JSON text.
        """
        return log_frame(self.path / LOG, (topic,) if isinstance(topic, str) else topic)

    @cached_property
    def plot(self) -> Plots:
        """Pictures: `run.plot.equity()`, `drawdown()`, `monthly()`, `price("BTCUSDT")`."""
        return Plots(self.path)

    @hinted
    def report(self) -> Path:
        """Write report.html, which opens without a network; return its path."""
        from backtester.engine.reporting.writing import write_reports

        return write_reports(self.path, plots=False)[0]

    @hinted
    def explain(self, what: str) -> Explanation:
        """Tell why something happened, or did not: "order:12", "trade:3", "time:2024-01-31T12:00:00Z", "event:99"."""
        return Explanation(explain(RunFiles(self.path), what))

    @hinted
    def replay(self) -> None:
        """Compute the account from the log again and compare; raises CheckFailed when anything differs."""
        replay(self.path)

    @hinted
    def verify(self) -> None:
        """Run the strategy again from what was recorded and compare the logs; raises CheckFailed when they differ."""
        waited_for(lambda _: verify(self.path))

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status}>"

    def _repr_html_(self) -> str:
        from backtester.api.showing import run_html

        return run_html(self)


@hinted
def load_run(run: str | Path = "latest") -> Run:
    """Return a run that is there.

    Args:
        run: its folder; or, of those in `runs`, `latest`, the beginning of a name or the six digits at its end. With
            another folder before it, of those in that: "my-runs/latest".

    Raises:
        UsageError: there is no such run, or several, or it was never sealed.
    """
    return Run(find_run(run))
