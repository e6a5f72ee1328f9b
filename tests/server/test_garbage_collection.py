"""The configuration of the garbage collector."""

import gc
import math

from stagebook.server.garbage_collection import COLLECTION_THRESHOLDS, tune_garbage_collection


def test_existing_objects_are_frozen_and_the_thresholds_are_raised() -> None:
    before = gc.get_threshold()
    try:
        tune_garbage_collection()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == COLLECTION_THRESHOLDS
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def test_what_ended_connections_leave_to_the_collector_has_a_bound() -> None:
    """An object that was alive at a collection is looked at again after the product of the further thresholds."""
    assert math.prod(COLLECTION_THRESHOLDS) <= 250_000
