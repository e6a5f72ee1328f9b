"""Whether a process of a test is alive."""

from pathlib import Path


def is_alive(process_id: int) -> bool:
    """Whether a process is running. A zombie is not. Linux only."""
    try:
        # The name of the program, in parentheses, may have spaces (proc(5), /proc/<pid>/stat).
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it ended before the file was opened, or before it was read
        return False
    return state != "Z"
