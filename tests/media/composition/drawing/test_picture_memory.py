"""Memory that stays in the process, counted in page faults."""

import resource
import subprocess
import sys

import pytest

_FAULTS = """
import resource
from stagebook.media.composition.drawing.picture_memory import keep_freed_memory
is_kept = {is_kept} and keep_freed_memory()
def work():
    blocks = [bytearray(b"x") * 1_400_000 for _ in range(4)]
work(); work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(is_kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*, is_kept: bool) -> int:
    """Return the page faults of a process that allocates and frees four pictures twenty times."""
    arguments = [sys.executable, "-c", _FAULTS.format(is_kept=is_kept)]
    answer, faults = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.split()
    if is_kept and answer != "True":
        pytest.skip("the C library has no mallopt")
    return int(faults)


def test_freed_memory_is_used_again_without_page_faults() -> None:
    pages = 20 * 4 * 1_400_000 // resource.getpagesize()
    assert page_faults(is_kept=True) < pages / 10 < page_faults(is_kept=False)
