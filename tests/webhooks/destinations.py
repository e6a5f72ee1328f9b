"""Destinations for tests."""

import base64
from typing import Any

from stagebook.webhooks.destination import Destination
from tests.history.logged import ACCOUNT

SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"


def destination(**members: Any) -> Destination:  # noqa: ANN401 - the members of Destination
    """Return an HTTP destination with defaults."""
    defaults: dict[str, Any] = {
        "destination_id": "wh_1",
        "account_id": ACCOUNT,
        "target": "https://receiver.example/hook",
        "secrets": (SECRET,),
        "created_ms": 1,
    }
    return Destination(**(defaults | members))
