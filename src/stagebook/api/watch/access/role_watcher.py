"""A caller whose rights are a role: the holder of a bearer key, and everybody while authentication is off."""

from collections.abc import Callable

from stagebook.api.watch.watch_problems import WatchProblemCode, WatchRefusedError
from stagebook.api.watch.watch_route import Role


class RoleWatcher:
    """An authenticated caller with a role in an account.

    `is_valid` returns whether its key still exists and has not expired. `region` is the region of this server.
    """

    def __init__(self, *, account_id: str, name: str, role: Role, region: str, is_valid: Callable[[], bool]) -> None:
        self.account_id = account_id
        self.name = name
        self.role = role
        self._own_arns = f"arn:aws:ivs:{region}:{account_id}:"
        self._is_valid = is_valid

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Raise WatchRefusedError: 401 once the key is invalid, 403 for a higher role or another account's resource."""
        if not self._is_valid():
            raise unauthenticated("the key has been revoked or has expired")
        if role is Role.OPERATOR and self.role is not Role.OPERATOR:
            raise forbidden(f"{action} needs the role {role.value}; this key has the role {self.role.value}")
        if resource is not None and not resource.startswith(self._own_arns):
            raise forbidden(f"{action} is not allowed on {resource}: it belongs to another account or region")


def unauthenticated(detail: str) -> WatchRefusedError:
    """Return the refusal of a request without valid credentials (RFC 9110 section 15.5.2, RFC 6750 section 3)."""
    return WatchRefusedError(
        status=401,
        code=WatchProblemCode.UNAUTHENTICATED,
        detail=detail,
        headers=((b"www-authenticate", b'Bearer realm="Stagebook"'),),
    )


def forbidden(detail: str) -> WatchRefusedError:
    """Return the refusal of a request whose caller may not make it."""
    return WatchRefusedError(status=403, code=WatchProblemCode.FORBIDDEN, detail=detail)
