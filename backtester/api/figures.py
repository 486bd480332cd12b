"""The figures of a run, by attribute and by name."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from backtester.core.errors import UsageError
from backtester.engine.run_summaries import figures_of


class Metrics(Mapping[str, Any]):
    """What metrics.json holds: `metrics.sharpe`, `metrics["sharpe"]`; definitions in docs/metrics.md.

    A figure is its value: a float or an int, money a Decimal, None where it has no meaning; `entry` says why. Tables
    (`breakdowns`, `monthly_returns`, ...) are lists and dicts as they stand in the file.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self._figures = figures_of(content)

    def __getitem__(self, name: str) -> Any:
        if name in self._figures:
            return _value(self._figures[name])
        return self._content[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._content:
            raise AttributeError(f"there is no figure {name!r}; run.metrics lists all")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._content]

    def entry(self, name: str) -> dict[str, Any]:
        """Return a figure as it stands in the file: value, definition_id, and currency, reason, flag where it has them.

        Raises:
            UsageError: there is no such figure.
        """
        if name not in self._figures:
            raise UsageError(f"there is no figure {name!r}", hint=f"there are: {', '.join(self._figures)}")
        return dict(self._figures[name])

    @property
    def figures(self) -> dict[str, Any]:
        """All figures that are one value, by name."""
        return {name: _value(entry) for name, entry in self._figures.items()}

    def __repr__(self) -> str:
        width = max(map(len, self._figures), default=0)
        return "\n".join(f"{name:<{width}}  {_shown(entry)}" for name, entry in self._figures.items())

    def _repr_html_(self) -> str:
        from backtester.api.html import table

        return table([(name, _shown(entry)) for name, entry in self._figures.items()])


def _value(entry: Mapping[str, Any]) -> Any:
    value = entry["value"]
    if isinstance(value, str) and "currency" in entry:
        try:
            return Decimal(value)
        except InvalidOperation:
            return value
    return value


def _shown(entry: Mapping[str, Any]) -> str:
    value = entry["value"]
    if value is None:
        return f"none ({entry.get('reason', '')})"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    unit = f" {entry['currency']}" if "currency" in entry else ""
    flag = f" ({entry['flag']})" if entry.get("flag") else ""
    return f"{text}{unit}{flag}"
