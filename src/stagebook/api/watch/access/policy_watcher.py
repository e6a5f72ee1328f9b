"""A caller that has signed its request with an access key of the AWS API. Its rights are the key's policy.

Actions of this API have the prefix `stagebook:`. A policy that allows `ivs:*` only allows none of them, and one that
allows `*` allows all. The policy is evaluated on the stage of a request, or on all resources of the account:
`arn:aws:ivs:<region>:<account>:*`.
"""

from stagebook.api.access.policy import PolicyEvaluator
from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.authenticated import Authenticated, forbidden


class PolicyWatcher:
    """An authenticated caller with a policy. `region` is the region of this server."""

    def __init__(self, facts: Authenticated, *, policy: PolicyEvaluator, region: str) -> None:
        self.facts = facts
        self._policy = policy
        self._own_arns = f"arn:aws:ivs:{region}:{facts.identity.account_id}:"

    @property
    def account_id(self) -> str:
        """The account of the caller."""
        return self.facts.identity.account_id

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.facts.name

    def require(self, action: str, _role: Role, *, resource: str | None = None) -> None:
        """Raise ApiRefusedError 403 unless the policy allows `action` on a resource of the caller's account."""
        wanted = f"{self._own_arns}*" if resource is None else resource
        # Ownership comes first: a policy with wildcards must not give access to another account's resources.
        if not wanted.startswith(self._own_arns) or not self._policy.allows(action, wanted):
            arn = self.facts.identity.arn
            raise forbidden(f"User: {arn} is not authorized to perform: {action} on resource: {wanted}")
