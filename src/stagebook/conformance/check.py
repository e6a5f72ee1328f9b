"""A check: one rule of the API as a value, with the place that states it and a function that tries it.

A check has a stable name, `Operation.member.rule`, so that a baseline of expected failures stays valid. It raises
CheckFailedError with what the rule demands and what the server did, or CheckSkippedError when it cannot be tried.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

import msgspec

from stagebook.conformance.service_under_test import ServiceUnderTest


class Cost(StrEnum):
    """What a check does to the account, the cheapest first."""

    HARMLESS = "harmless"
    """It reads, or sends what a conforming server refuses. No resources are made."""
    CREATES = "creates"
    """It makes resources and deletes them."""
    COMPOSES = "composes"
    """It also makes compositions, which AWS charges by the minute."""
    MEDIA = "media"
    """It also lets participants join and publish, which AWS charges by the minute."""


class Basis(StrEnum):
    """How well the public sources support a rule."""

    DOCUMENTED = "documented"
    """The service model or AWS's documentation states the rule."""
    OBSERVED = "observed"
    """Public reports or samples show the behaviour, and no documentation states it."""
    CHOSEN = "chosen"
    """No public source tells. It is what Stagebook chose, and what a client may reasonably expect."""


CheckBody: TypeAlias = Callable[[ServiceUnderTest], None]
"""Raises CheckFailedError or CheckSkippedError."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `source` names the service model's shape, a page of the API reference, or a section of a user guide."""

    operation: str
    rule: str
    source: str
    body: CheckBody
    basis: Basis = Basis.DOCUMENTED
    cost: Cost = Cost.HARMLESS

    @property
    def name(self) -> str:
        """The stable name: the operation and the rule."""
        return f"{self.operation}.{self.rule}"
