"""Bearer keys for tests, made as a user makes them."""

import subprocess
import sys
from pathlib import Path


def create_key(data: Path, role: str) -> str:
    """Run `stagebook keys create` on a data folder, and return the key."""
    command = [sys.executable, "-m", "stagebook", "keys", "create", "--role", role, "--data", str(data)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
