"""The configuration of Python's cyclic garbage collector.

The collector runs when so many objects have been allocated and not freed, and then traverses the objects of a
generation. The default thresholds, (700, 10, 10), make it traverse every live object again and again while many
participants join. A collection of all objects pauses the event loop, by a quarter of a second with 5,000 websockets.

So the older generations are rarely collected here. That is possible because what ends leaves nothing to the collector:
a connection has no reference cycle, and the errors of refused requests lose their tracebacks (`error_traceback.py`).
`tests/server/test_garbage_collection.py` counts the objects that each kind of connection leaves. A cycle that it does
not know is freed with the youngest generation, after 1,000 objects, if what ends was not open for long.

A collection of the youngest generation takes 0.3 to 2 us for each object. So that generation is small, and a
collection of it pauses the event loop by at most 2 ms.
"""

import gc

COLLECTION_THRESHOLDS = (1_000, 1_250, 20)


def tune_garbage_collection() -> None:
    """Exclude the objects that exist now from collections, and make collections less frequent."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
