"""A comparison as one self-contained page."""

import math
from pathlib import Path
from typing import Any, Final

from backtester.core.errors import StorageError
from backtester.engine.compare.comparing import Comparison, PartingTold
from backtester.engine.compare.picture import curves_of, run_letter
from backtester.engine.explain.told import plain_lines
from backtester.report.figure_texts import difference_text, value_text, verdict_text
from backtester.report.page.page import COMPARISON, PageContent, page

_POINTS: Final = 1_600


def write_page(found: Comparison, path: Path) -> None:
    """Write a comparison as HTML.

    Raises:
        StorageError: the file cannot be written.
    """
    names = ", ".join(run.name for run in found.runs)
    content = page(PageContent(_facts(found), {}), f"Compared: {names}", COMPARISON)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _facts(found: Comparison) -> dict[str, Any]:
    content = found.content
    facts = {
        "runs": [run | {"letter": run_letter(place)} for place, run in enumerate(content["runs"])],
        "remarks": content["remarks"],
        "curves": _curves(found),
        "bridge": content.get("bridge"),
        "figures": [_figure(row, len(found.runs)) for row in content["metrics"]],
        "differences": {
            "config": [[row["key"], *map(str, row["values"])] for row in content["config"]],
            "data": [[row["series"], *(f"{n} files" for n in row["files"])] for row in content["data"]],
            "code": [[row["what"], *row["values"]] for row in content["code"]],
        },
    }
    if len(found.runs) == 2:
        facts["event"] = _parting(found.event)
        if found.event is None or found.event != found.decision:
            facts["decision"] = _parting(found.decision)
    return facts


def _curves(found: Comparison) -> dict[str, Any]:
    times, curves, unit = curves_of(found.runs, _POINTS)
    return {
        "seconds": [time / 1e6 for time in times.tolist()],
        "curves": [{"name": n, "values": [None if math.isnan(v) else v for v in c.tolist()]} for n, c in curves],
        "unit": unit,
    }


def _figure(row: dict[str, Any], count: int) -> dict[str, Any]:
    cells = [value_text(row, place) + (" *" if place in row.get("best", ()) else "") for place in range(count)]
    return {"name": row["name"], "cells": cells, "difference": difference_text(row), "verdict": verdict_text(row)}


def _parting(found: PartingTold | None) -> dict[str, Any] | None:
    if found is None:
        return None
    told = [None if one is None else "\n".join(plain_lines(one)) for one in (found.first, found.second)]
    return {"fields": [[key, *map(str, values)] for key, values in found.fields.items()], "told": told}
