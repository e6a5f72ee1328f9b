"""Runs the simulation: seeds in order, and each seed that ever failed.

A failing seed is run again by `python -m tests.manager.simulation --seed N`.
"""

from pathlib import Path
from typing import get_args

import pytest

from stagebook.stage.events import ErrorCode, EventName
from stagebook.stage.session.decide import RULES
from stagebook.stage.session.orders import Order
from tests.manager.simulation.simulate import Progress, simulate

SEEDS = 200
SEEDS_OF_A_DISTANT_BOOK = 8
MANY_SEEDS_OF_A_DISTANT_BOOK = 120
FAILED_SEEDS = (240, 451, 781, 851, 1_045, 1_382, 1_556, 1_659, 5_428, 9_344)
"""Seeds that found a defect once, of the server or of the simulation."""

ORDERS = {kind.__name__ for kind in get_args(Order)}


def simulate_all(seeds: int, folder: Path, *, is_distant: bool = False) -> Progress:
    """Simulate the first seeds; return what has occurred."""
    progress = Progress()
    for seed in range(seeds):
        own = folder / str(seed)
        own.mkdir()
        try:
            progress.add(simulate(seed, own, is_distant=is_distant))
        except Exception as error:
            raise AssertionError(f"seed {seed} fails") from error
    return progress


@pytest.mark.timeout(600)
def test_the_rules_of_the_book_hold_and_everything_occurs(tmp_path: Path) -> None:
    progress = simulate_all(SEEDS, tmp_path)
    assert set(progress.events) == {name.value for name in EventName}
    assert set(progress.codes) == {code.value for code in ErrorCode}
    assert set(progress.facts) == {fact.__name__ for fact in RULES}
    assert set(progress.orders) == ORDERS
    assert set(progress.ends) == {
        *("shutdown", "crash", "crash after the commit", "crash while recovering", "failing book")
    }


def test_the_rules_hold_when_the_manager_reads_memory(tmp_path: Path) -> None:
    """No submission reads the book (`DistantBook`), and what a decision needs of the past is fetched before it."""
    simulate_all(SEEDS_OF_A_DISTANT_BOOK, tmp_path, is_distant=True)


@pytest.mark.parametrize("seed", FAILED_SEEDS)
def test_a_seed_that_failed_once_holds(tmp_path: Path, seed: int) -> None:
    simulate(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_seeds_hold_when_the_manager_reads_memory(tmp_path: Path) -> None:
    simulate_all(MANY_SEEDS_OF_A_DISTANT_BOOK, tmp_path, is_distant=True)
