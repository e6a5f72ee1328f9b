"""The configuration of Python's cyclic garbage collector.

The collector runs when so many objects have been allocated and not freed, and then traverses the objects of a
generation. The default thresholds, (700, 10, 10), make it traverse every live object again and again while many
participants join.

High thresholds are no better: every ended connection leaves cycles of some 30 objects, with buffers. What a collection
finds alive is collected after the thresholds of the older generations only, so the product of the three bounds what
ended connections can hold: 250,000 objects.
"""

import gc

COLLECTION_THRESHOLDS = (25_000, 5, 2)


def tune_garbage_collection() -> None:
    """Exclude the objects that exist now from collections, and make collections less frequent."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
