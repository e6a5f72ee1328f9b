"""The configuration of Python's cyclic garbage collector.

The collector runs when enough objects have been allocated, and then traverses the objects of a generation. The default
thresholds, (700, 10, 10), make it traverse every live object again and again while many participants join.
"""

import gc

COLLECTION_THRESHOLDS = (100_000, 50, 100)


def tune_garbage_collection() -> None:
    """Exclude the objects that exist now from collections, and make collections less frequent."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
