"""The configuration of a worker process from the call of `worker_main` on."""

import socket
import subprocess
import sys

from stagebook.media.worker.worker_main import COLLECTION_THRESHOLDS

PROGRAM = """
import gc
import sys

from stagebook.media.worker.worker_main import worker_main


async def serve(control_socket):
    control_socket.send(repr((gc.isenabled(), gc.get_threshold())).encode())
    return 0


sys.exit(worker_main(serve))
"""


def test_a_worker_collects_a_small_youngest_generation_and_rarely_the_others() -> None:
    near, far = socket.socketpair()
    with near, far:
        words = [sys.executable, "-c", PROGRAM, str(far.fileno())]
        subprocess.run(words, pass_fds=[far.fileno()], check=True)
        assert near.recv(100).decode() == repr((True, COLLECTION_THRESHOLDS))
    youngest, middle, _ = COLLECTION_THRESHOLDS
    assert youngest <= 1_000
    assert youngest * middle >= 1_000_000
