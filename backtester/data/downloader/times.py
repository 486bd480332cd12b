"""Times as sources write them: epochs in s, ms or µs told apart by magnitude, and ISO dates, even within one column."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from backtester.core.errors import UsageError
from backtester.core.time import parse_time

_WHOLE: Final = r"^\d{1,18}$"
_NUMBER: Final = r"^\d+(\.\d*)?([eE]\+?\d+)?$"
SECONDS_BELOW: Final = 100_000_000_000  # 1e11: below are seconds, up to the year 5138
MICROS_FROM: Final = 100_000_000_000_000  # 1e14: from here µs, up to 1e17; between the two are ms
NANOS_FROM: Final = 100_000_000_000_000_000
_EARLIEST: Final = 315_532_800_000_000  # 1980: a smaller number is a count or an index, not a time

NOT_A_TIME: Final = np.iinfo(np.int64).min


def epochs_to_us(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return whole epochs of mixed units as UTC µs, shape (n,); NOT_A_TIME where a number is no plausible time."""
    if len(values):  # one unit and all plausible, as nearly always
        least, most = int(values.min()), int(values.max())
        if least * 1_000 >= _EARLIEST and least >= SECONDS_BELOW and most < MICROS_FROM:
            return values * 1_000
        if least >= _EARLIEST and most < NANOS_FROM:
            return values
    micros = np.select(
        [values < SECONDS_BELOW, values < MICROS_FROM, values < NANOS_FROM],
        [values * 1_000_000, values * 1_000, values],
        default=values // 1_000,
    )
    return np.where((values > 0) & (micros >= _EARLIEST), micros, NOT_A_TIME).astype(np.int64)


def times_of_text(text: Any) -> NDArray[np.int64]:
    """Return UTC µs of an Arrow string array; NOT_A_TIME where a text is no time.

    Whole numbers are epochs by magnitude (`epochs_to_us`), and so are numbers written as floats (1502946000.0). All
    else must be an ISO 8601 date or time; without a zone it is UTC.
    """
    text = pc.utf8_trim_whitespace(text)
    try:
        return epochs_to_us(pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        pass
    micros = np.full(len(text), NOT_A_TIME, dtype=np.int64)
    whole = _matches(text, _WHOLE)
    micros[whole] = epochs_to_us(_chosen(text, whole, pa.int64()))
    floating = _matches(text, _NUMBER) & ~whole
    micros[floating] = _float_epochs(_chosen(text, floating, pa.float64()))
    rest = ~(whole | floating)
    micros[rest] = _iso_times(text.filter(pa.array(rest)))
    return micros


def times_of_array(array: Any) -> NDArray[np.int64]:
    """Return UTC µs of an Arrow array of timestamps, dates, numbers or texts; NOT_A_TIME where there is none."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return times_of_text(array.fill_null(""))
    if pa.types.is_integer(kind):
        whole = pc.cast(array, pa.int64())
        return epochs_to_us(plain_values(whole.fill_null(0) if whole.null_count else whole))
    if pa.types.is_floating(kind):
        return _float_epochs(pc.cast(array, pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        micros = pc.cast(array, pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False)
        found: NDArray[np.int64] = pc.cast(micros, pa.int64()).fill_null(NOT_A_TIME).to_numpy(zero_copy_only=False)
        return found
    return np.full(len(array), NOT_A_TIME, dtype=np.int64)


def plain_values(array: Any) -> NDArray[Any]:
    """Return the values of a numeric Arrow array without nulls, not copied, read only.

    pyarrow's own conversion imports pandas where that is installed.
    """
    dtype = np.dtype(str(array.type).replace("double", "float64"))
    return np.frombuffer(array.buffers()[1], dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize)


def _matches(text: Any, pattern: str) -> NDArray[np.bool_]:
    matches = pc.match_substring_regex(text, pattern).fill_null(False)
    return np.asarray(matches.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _chosen(text: Any, mask: NDArray[np.bool_], kind: Any) -> NDArray[Any]:
    numbers: NDArray[Any] = pc.cast(text.filter(pa.array(mask)), kind).to_numpy(zero_copy_only=False)
    return numbers


def _float_epochs(values: NDArray[np.float64]) -> NDArray[np.int64]:
    fits = np.isfinite(values) & (values > 0) & (values < 9e18)
    clean = np.where(fits, values, 0.0)
    unit = np.select([clean < SECONDS_BELOW, clean < MICROS_FROM, clean < NANOS_FROM], [1e6, 1e3, 1.0], default=1e-3)
    micros = np.rint(clean * unit).astype(np.int64)
    return np.where(fits & (micros >= _EARLIEST), micros, NOT_A_TIME).astype(np.int64)


def _iso_times(text: Any) -> NDArray[np.int64]:
    for kind in (pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
        try:
            micros: NDArray[np.int64] = pc.cast(pc.cast(text, kind), pa.int64()).to_numpy(zero_copy_only=False)
            return micros
        except pa.ArrowInvalid:
            continue
    return np.array([_iso_time(one) for one in text.to_pylist()], dtype=np.int64)


def _iso_time(text: str) -> int:
    try:
        return parse_time(text)
    except UsageError:
        return int(NOT_A_TIME)
