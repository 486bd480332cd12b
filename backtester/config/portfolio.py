"""`[[strategies]]` and `[portfolio]`: several strategies in one run, and what each may use."""

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from backtester.config.fields import Exact, Section, TimeframeOrNone

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
# The sides of hedge mode, which stand where an id does, and what tables call what belongs to none and to all.
_TAKEN: Final = ("long", "short", "reserve", "together")


class StrategyEntry(Section):
    """One of several strategies.

    id: its name in log and tables; by default that of the strategy. name: as in `[strategy]`. symbols, timeframe: by
    default those of `[run]`. share: of what the account starts with; what no share takes nobody trades.
    """

    id: str = ""
    name: Annotated[str, Field(min_length=1)]
    symbols: tuple[str, ...] = ()
    timeframe: TimeframeOrNone = ""
    share: Annotated[Exact, Field(gt=0, le=1, decimal_places=8)]
    params: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _id_is_its_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("id") and isinstance(data.get("name"), str):
            last = re.split(r"[:/]", data["name"])[-1].removesuffix(".toml")
            return {**data, "id": re.sub(r"[^a-z0-9_-]", "_", last.lower())}
        return data

    @model_validator(mode="after")
    def _id_can_stand_in_names(self) -> "StrategyEntry":
        if not _ID.fullmatch(self.id) or self.id in _TAKEN:
            raise ValueError(
                f"the id {self.id!r} must be of a-z, 0-9, _ and -, begin with a letter or digit, and be none of "
                f"{', '.join(_TAKEN)}"
            )
        return self


class PortfolioSection(Section):
    """netting: market orders of different strategies that would fill at one open meet each other first (cross), or each
    goes to the market whole (none).
    """

    netting: Literal["cross", "none"] = "cross"


def check_entries(entries: Sequence[StrategyEntry], single: str) -> None:
    """Refuse strategies that cannot run together; single: the name in `[strategy]`.

    Raises:
        ValueError: says why.
    """
    if not entries:
        return
    if single:
        raise ValueError(
            f"[strategy] names {single} and [[strategies]] {', '.join(e.id for e in entries)}: a run has the "
            "one or the others"
        )
    twice = [name for name, count in Counter(entry.id for entry in entries).items() if count > 1]
    if twice:
        raise ValueError(f"two of [[strategies]] have the id {twice[0]}: give each an id of its own")
    if (total := sum((entry.share for entry in entries), Decimal(0))) > 1:
        shares = " + ".join(f"{entry.share:f}" for entry in entries)
        raise ValueError(f"the shares of [[strategies]] are {shares} = {total:f}: together they are at most 1")
