"""StartComposition, GetComposition, ListCompositions, StopComposition (API reference, Composition).

Stagebook does not compose stages. StartComposition is refused with a reason, so there are no compositions to get, list
or stop.
"""

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError


class CompositionOperations:
    """The operations on compositions."""

    def __init__(self, page_tokens: PageTokens) -> None:
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="StartComposition", handle=self.start, resource_member="stageArn"),
            Operation(name="GetComposition", handle=self.fail_not_found, resource_member="arn"),
            Operation(name="ListCompositions", handle=self.list),
            Operation(name="StopComposition", handle=self.fail_not_found, resource_member="arn"),
        )

    def start(self, _call: Call) -> Result:
        """Raise InvalidInputError: a composition that produces nothing must not appear to be started."""
        raise InvalidInputError(
            member="destinations", rule="cannot be served, because this server does not compose stages yet"
        )

    def fail_not_found(self, call: Call) -> Result:
        """Raise ResourceNotFoundError."""
        raise ResourceNotFoundError(kind="composition", name=call.request["arn"])

    def list(self, call: Call) -> Result:
        """Return an empty list; InvalidInputError for a page token, as there is none."""
        self._page_tokens.open("ListCompositions", call)
        return {"compositions": []}
