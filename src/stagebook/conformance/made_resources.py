"""The resources that a run has made, by any of its checks, and must delete at any end of the run.

Every successful answer is looked at, also of calls that the server should have refused.
"""

from collections.abc import Mapping

from stagebook.conformance.model.api_model import MAKERS, Maker
from stagebook.conformance.wire.wire_answer import Json, WireAnswer

_MAKERS = {maker.operation: maker for maker in MAKERS}
_DELETED_BY = {maker.delete for maker in MAKERS}
_DELETES = {maker.kind: maker.delete for maker in MAKERS}


class MadeResources:
    """The ARNs of resources that exist, with the operation that deletes each, in the order in which they were made.

    `unnamed` has a text for each resource that was made without an ARN, so that it cannot be deleted.
    """

    def __init__(self) -> None:
        self._deletes: dict[str, str] = {}
        self.unnamed: list[str] = []

    def note(self, answer: WireAnswer, members: Mapping[str, Json]) -> None:
        """Look at the answer to a call with this input. Raises CheckFailedError for a success without a JSON body."""
        if not answer.is_success:
            return
        if answer.operation in _DELETED_BY:
            self._deletes.pop(str(members.get("arn")), None)
        elif answer.operation in _MAKERS:
            maker = _MAKERS[answer.operation]
            resource = answer.json().get(maker.member)
            arn = resource.get("arn") if isinstance(resource, dict) else None
            if isinstance(arn, str):
                self.add(arn, maker)
            else:
                self.unnamed.append(f"{answer.operation} succeeded without an ARN, request {answer.request_id}")

    def add(self, arn: str, maker: Maker) -> None:
        """Note a resource of a kind."""
        self._deletes.setdefault(arn, maker.delete)

    def newest_first(self) -> list[tuple[str, str, dict[str, Json]]]:
        """Return the ARNs in the order in which they can be deleted, each with the operation and its input."""
        return [(arn, operation, _input(operation, arn)) for arn, operation in reversed(self._deletes.items())]


def deletion(arn: str) -> tuple[str, dict[str, Json]]:
    """Return the operation that deletes the resource of an ARN, and its input."""
    operation = _DELETES[arn.split(":")[5].partition("/")[0]]
    return operation, _input(operation, arn)


def _input(operation: str, arn: str) -> dict[str, Json]:
    return {"arn": arn, **({"force": True} if operation == "DeleteIngestConfiguration" else {})}
