"""The check of frames: every cheat of the zoo is caught, and nobody honest is accused."""

import numpy as np
import pytest

from backtester.strategy.features import Source
from backtester.strategy.features.checking import AGAIN, CUT, POISONED, check_features
from backtester.strategy.signals.checking import check_frame
from tests.strategy.features.frames import BTC, columns, frames_of
from tests.strategy.signals.zoo import CHEATING, HONEST

OWN = Source(BTC, "5m")
FRAMES = frames_of(columns(400), "30m")


@pytest.mark.parametrize("name", CHEATING)
def test_who_looks_ahead_is_caught(name: str) -> None:
    assert check_frame(CHEATING[name], FRAMES, OWN) != []


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("seed", [1, 2])
def test_who_does_not_is_not_accused(name: str, seed: int) -> None:
    assert check_frame(HONEST[name], FRAMES, OWN, seed=seed) == []


def test_the_zoo_is_large() -> None:
    assert len(CHEATING) >= 30
    assert len(HONEST) >= 30


def test_a_leak_names_column_row_and_cut_and_none_is_after_it() -> None:
    found = check_frame(CHEATING["shift_minus_one"], FRAMES, OWN)
    assert {leak.column for leak in found} == {"exposure"}
    assert {leak.how for leak in found} <= {CUT, POISONED}
    for leak in found:
        assert leak.cut == leak.time == FRAMES[OWN].times[leak.row]  # the row at the cut needs the one after it
        assert "exposure at 1970-01-" in str(leak)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("only_the_stop", "stop"),
        ("only_the_trail", "trail"),
        ("only_the_trail_of_shorts", "trail_short"),
        ("only_the_exit", "exit_long"),
        ("only_the_tag", "tag"),
        ("only_a_value_in_the_log", "values['x']"),
        ("in_a_feature", "feature ahead"),
        ("in_a_feature_of_longer_candles", "feature 30m/ahead"),
    ],
)
def test_the_column_that_leaks_is_the_one_that_is_named(name: str, column: str) -> None:
    assert {leak.column for leak in check_frame(CHEATING[name], FRAMES, OWN)} == {column}


def test_what_is_not_repeatable_is_told_apart_from_looking_ahead() -> None:
    found = check_frame(CHEATING["random_without_the_seed"], FRAMES, OWN)
    assert found[0].how == AGAIN
    assert found[0].cut is None


def test_a_check_repeats_itself() -> None:
    strategy = CHEATING["z_score_of_the_whole"]
    assert check_frame(strategy, FRAMES, OWN, seed=3) == check_frame(strategy, FRAMES, OWN, seed=3)


def test_features_alone_are_checked_the_same_way() -> None:
    graph = CHEATING["in_a_feature_of_longer_candles"].graph
    assert [leak.column for leak in check_features(graph, FRAMES, OWN)] != []
    assert check_features(HONEST["pivots_once_confirmed"].graph, FRAMES, OWN) == []


def test_a_frame_too_short_for_a_cut_proves_nothing_and_accuses_nobody() -> None:
    short = frames_of(columns(1), "30m")
    assert check_frame(HONEST["candle_itself"], short, OWN) == []
    assert np.array_equal(FRAMES[OWN]["close"], columns(400).close)  # and no check changed what it was given
