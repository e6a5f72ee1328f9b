"""StartComposition, GetComposition, ListCompositions, StopComposition (API reference, Composition).

Stagebook does not compose yet: starting is refused by name, and so there is none to get, list or stop.
"""

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError


class CompositionOperations:
    """The operations on compositions."""

    def __init__(self, page_tokens: PageTokens) -> None:
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return them for the door's table."""
        return (
            Operation(name="StartComposition", handle=self.start, resource_member="stageArn"),
            Operation(name="GetComposition", handle=self.find, resource_member="arn"),
            Operation(name="ListCompositions", handle=self.list),
            Operation(name="StopComposition", handle=self.find, resource_member="arn"),
        )

    def start(self, _call: Call) -> Result:
        """Refuse: a composition that does nothing must not look started."""
        raise InvalidInputError(
            member="destinations", rule="cannot be served, because this server does not compose stages yet"
        )

    def find(self, call: Call) -> Result:
        """There is none of that ARN."""
        raise ResourceNotFoundError(kind="composition", name=call.request["arn"])

    def list(self, call: Call) -> Result:
        """There are none."""
        self._page_tokens.open("ListCompositions", call)
        return {"compositions": []}
