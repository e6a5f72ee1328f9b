"""A caller whose rights are a role: the holder of a bearer key or a console session, and everybody without
authentication."""

from collections.abc import Callable

from stagebook.api.access.policy import Effect, Policy, Statement
from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.authenticated import Authenticated, forbidden, unauthenticated

OPERATIONS_OF_ROLES = {
    Role.OPERATOR: Policy(statements=(Statement(effect=Effect.ALLOW, actions=("ivs:*",), resources=("*",)),)),
    Role.READER: Policy(
        statements=(
            Statement(effect=Effect.ALLOW, actions=("ivs:Get*", "ivs:List*"), resources=("*",)),
            # It returns the stream key, with which its holder publishes.
            Statement(effect=Effect.DENY, actions=("ivs:GetIngestConfiguration",), resources=("*",)),
        )
    ),
}
"""The operations of the AWS API that each role may call, as policies."""


class RoleWatcher:
    """An authenticated caller with a role in an account.

    `is_valid` returns whether its key still exists and has not expired. `region` is the region of this server.
    """

    def __init__(self, facts: Authenticated, *, role: Role, region: str, is_valid: Callable[[], bool]) -> None:
        self.facts = facts
        self._role = role
        self._own_arns = f"arn:aws:ivs:{region}:{facts.identity.account_id}:"
        self._is_valid = is_valid

    @property
    def account_id(self) -> str:
        """The account of the caller."""
        return self.facts.identity.account_id

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.facts.name

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Raise ApiRefusedError: 401 once the key is invalid, 403 for a higher role or another account's resource."""
        if not self._is_valid():
            raise unauthenticated("the key has been revoked or has expired, or the session has ended")
        if role is Role.OPERATOR and self._role is not Role.OPERATOR:
            raise forbidden(f"{action} needs the role {role.value}; this key has the role {self._role.value}")
        if resource is not None and not resource.startswith(self._own_arns):
            raise forbidden(f"{action} is not allowed on {resource}: it belongs to another account or region")
