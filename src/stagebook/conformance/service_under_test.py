"""The server that is checked, as the checks use it: calls, resources to look at, and the account.

Shared resources are made when the first check needs them, and deleted at the end of the run. No check changes them.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from stagebook.conformance.check_outcomes import CheckFailedError, CheckSkippedError
from stagebook.conformance.made_resources import MadeResources, deletion
from stagebook.conformance.model.api_model import ApiModel
from stagebook.conformance.model.sample_values import SampleValues
from stagebook.conformance.wire.request_writer import HttpRequest, operation_request
from stagebook.conformance.wire.wire_answer import Json, WireAnswer
from stagebook.conformance.wire.wire_client import WireClient

Made = TypeVar("Made")

NAME_PREFIX = "stagebook-conformance-"
"""The start of the name of every resource that a run makes."""

PLACEHOLDER_ACCOUNT = "123456789012"
"""The account of ARNs in calls that are refused before the account counts."""

MAX_PAGES = 1_000
"""The most pages that the last look for resources reads of one list."""

_PLACES_OF_ARNS = ("ListStages", "ListEncoderConfigurations", "ListStorageConfigurations", "ListPublicKeys")


class ServiceUnderTest:
    """One run's view of the server. `run_id` makes the names of resources unique."""

    def __init__(self, client: WireClient, model: ApiModel, *, run_id: str, account_id: str | None = None) -> None:
        self.client = client
        self.model = model
        self.made = MadeResources()
        self.last_request_id = ""
        self._prefix = f"{NAME_PREFIX}{run_id}-"
        self._account_id = account_id
        self._is_account_looked_up = account_id is not None
        self._shared: dict[str, Json] = {}
        self._names = 0

    @property
    def region(self) -> str:
        """The region of the signatures."""
        return self.client.signature.region

    @property
    def account_id(self) -> str:
        """The caller's account. Raises CheckSkippedError if no ARN of the account is known."""
        if not self._is_account_looked_up:
            self._is_account_looked_up = True
            self._account_id = self._find_account()
        if self._account_id is None:
            raise CheckSkippedError("the account is unknown: give --account-id")
        return self._account_id

    @property
    def samples(self) -> SampleValues:
        """Values for the account, or for a placeholder if it is unknown."""
        try:
            account_id = self.account_id
        except CheckSkippedError:
            account_id = PLACEHOLDER_ACCOUNT
        return SampleValues(account_id=account_id, region=self.region)

    def arn(self, kind: str) -> str:
        """Return the ARN of a resource that does not exist, in the caller's account."""
        return SampleValues(account_id=self.account_id, region=self.region).arn(kind)

    def name(self) -> str:
        """Return a name for a new resource."""
        self._names += 1
        return f"{self._prefix}{self._names}"

    def call(self, operation: str, **members: Json) -> WireAnswer:
        """Call an operation with these members, valid or not, and return the answer."""
        answer = self.client.send(operation_request(self.model.operations[operation], members))
        return self.noted(answer, members)

    def send(self, request: HttpRequest) -> WireAnswer:
        """Send a request of any form, signed, and return the answer."""
        return self.noted(self.client.send(request), {})

    def noted(self, answer: WireAnswer, members: Mapping[str, Json]) -> WireAnswer:
        """Keep the id of an answer for the report and the resource that it may have made for its deletion."""
        self.last_request_id = answer.request_id
        self.made.note(answer, members)
        return answer

    def result(self, operation: str, **members: Json) -> Json:
        """Call an operation that must succeed and return its output."""
        answer = self.call(operation, **members)
        if answer.status != 200:
            raise CheckFailedError(expected=f"{operation} to succeed with 200", got=answer.summary)
        return answer.json() if answer.body else {}

    def make_call(self, operation: str, **members: Json) -> WireAnswer:
        """Call an operation that makes a resource and return the answer. Raises CheckSkippedError at a quota."""
        answer = self.call(operation, **members)
        if answer.error_code == "ServiceQuotaExceededException":
            raise CheckSkippedError(f"the account has reached its quota: {operation}")
        return answer

    def make(self, operation: str, **members: Json) -> Json:
        """Make a resource that this check may change, and return it. Raises CheckSkippedError at a quota."""
        answer = self.make_call(operation, **{"name": self.name(), **members})
        if answer.status != 200:
            raise CheckFailedError(expected=f"{operation} to succeed with 200", got=answer.summary)
        resource = answer.json().get(self.model.makers[operation].member)
        if not isinstance(resource, dict) or "arn" not in resource:
            raise CheckFailedError(expected=f"{operation} to return an arn", got=answer.summary)
        if self._account_id is None:
            self._account_id = resource["arn"].split(":")[4]
        return resource

    def shared(self, operation: str, **members: Json) -> Json:
        """Return a resource that all checks share and none changes. It is made by the first call with these members."""
        key = f"{operation} {members}"
        if key not in self._shared:
            self._shared[key] = self.make(operation, **members)
        return self._shared[key]

    def once(self, key: str, make: Callable[[], Made]) -> Made:
        """Return what `make` returned when it was first called with this key."""
        if key not in self._shared:
            self._shared[key] = make()
        made: Made = self._shared[key]
        return made

    def delete(self, arn: str) -> None:
        """Delete a resource that a check has made. What cannot be deleted now is tried again at the end."""
        operation, members = deletion(arn)
        self.call(operation, **members)

    def delete_all(self) -> list[str]:
        """Delete all resources of the run, whatever the budget. Return a text for each that could not be deleted.

        A server that failed after it had made a resource did not say its ARN. The lists show those by their names.
        """
        left = list(self.made.unnamed)
        try:
            self._note_named()
        except (CheckFailedError, CheckSkippedError) as error:
            left.append(f"resources whose names start with {self._prefix} may exist: {error}")
        for arn, operation, members in self.made.newest_first():
            try:
                answer = self.client.send(operation_request(self.model.operations[operation], members), counts=False)
            except (CheckFailedError, CheckSkippedError) as error:
                left.append(f"{arn}: {error}")
                continue
            if not answer.is_success and answer.error_code != "ResourceNotFoundException":
                left.append(f"{arn}: {answer.summary}")
        return left

    def _note_named(self) -> None:
        """Note the resources with names of this run that no answer has named."""
        for maker in self.model.makers.values() if self._names else ():
            operation = f"List{maker.request.removeprefix('Get')}s"
            token: str | None = None
            for _ in range(MAX_PAGES):
                members = {"nextToken": token} if token else {}
                request = operation_request(self.model.operations[operation], members)
                answer = self.client.send(request, counts=False)
                if answer.status != 200:
                    break
                document = answer.json()
                for item in next((items for items in document.values() if isinstance(items, list)), []):
                    if str(item.get("name")).startswith(self._prefix):
                        self.made.add(str(item.get("arn")), maker)
                token = document.get("nextToken")
                if not token:
                    break

    def _find_account(self) -> str | None:
        for operation in _PLACES_OF_ARNS:
            answer = self.call(operation, maxResults=1)
            if answer.status == 200:
                for items in answer.json().values():
                    if isinstance(items, list) and items and isinstance(items[0], dict) and "arn" in items[0]:
                        return str(items[0]["arn"]).split(":")[4]
        return None
