"""The configuration of the garbage collector."""

import gc

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
