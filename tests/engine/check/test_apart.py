"""Tasks apart: in forks, in new processes and right here they say the same, and only right here they know of others."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backtester.core.apart import in_turn
from backtester.engine.check.forks import Forks, TaskFailed
from backtester.engine.check.respawns import Reached, Respawns

KEPT: list[int] = []


def keeping(number: int) -> Callable[[], tuple[int, int]]:
    def task() -> tuple[int, int]:
        KEPT.append(number)
        return number, len(KEPT)

    return task


TASKS = [keeping(number) for number in range(5)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_forks_know_nothing_of_one_another_and_answer_in_order(at_once: int) -> None:
    before = len(KEPT)
    assert Forks(at_once, 60)(TASKS) == [(number, before + 1) for number in range(5)]
    assert len(KEPT) == before


def test_tasks_right_here_do() -> None:
    before = len(KEPT)
    assert in_turn(TASKS) == [(number, before + number + 1) for number in range(5)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_comes_after_enough_is_left_out(at_once: int) -> None:
    tasks = [lambda n=n: n for n in range(5)]
    assert Forks(at_once, 60)(tasks, lambda n: n == 2) == in_turn(tasks, lambda n: n == 2) == [0, 1, 2]


def test_a_task_that_ends_its_process_or_raises_is_told() -> None:
    with pytest.raises(TaskFailed, match="without a result"):
        Forks(1, 60)([lambda: os._exit(3)])
    with pytest.raises(TaskFailed, match="ZeroDivisionError"):
        Forks(1, 60)([lambda: 1 // 0])


def test_a_new_process_comes_to_its_task_with_the_results_of_earlier_ones(tmp_path: Path) -> None:
    def way(apart: Any) -> list[int]:
        first = apart([lambda: 3, lambda: 4])
        return list(apart([lambda n=n: n * first[1] for n in range(4)], lambda n: n == 8))

    def spawn(task: tuple[int, int]) -> Any:
        with pytest.raises(Reached) as reached:
            way(Respawns(tmp_path, spawn, task))
        return reached.value.result

    assert way(Respawns(tmp_path, spawn)) == way(in_turn) == [0, 4, 8]
