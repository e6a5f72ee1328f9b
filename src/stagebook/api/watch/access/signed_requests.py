"""Requests that an access key of the AWS API has signed, with `stagebook` or `ivs` as the service of the signature."""

from collections.abc import Mapping

from stagebook.api.access.policy import PolicyEvaluator
from stagebook.api.access.sigv4.credentials import AwsCredential, CredentialStore
from stagebook.api.access.sigv4.signature import SignatureVerifier
from stagebook.api.asgi import Scope
from stagebook.api.routes.api_route import ReadBody
from stagebook.api.watch.access.authenticated import Authenticated, AuthenticationMethod
from stagebook.api.watch.access.policy_watcher import PolicyWatcher
from stagebook.stage.clock import Clock

SERVICES = ("stagebook", "ivs")


class SignedRequests:
    """Verifies signatures of `credentials`. `region` is the region of this server."""

    def __init__(self, *, credentials: CredentialStore, clock: Clock, region: str) -> None:
        self._verifier = SignatureVerifier(credentials=credentials, clock=clock, region=region, services=SERVICES)
        self._region = region
        self._watchers: dict[str, PolicyWatcher] = {}

    async def verify(self, scope: Scope, headers: Mapping[bytes, bytes], read_body: ReadBody) -> PolicyWatcher:
        """Return the caller of a signed request. Raises SignatureRefusedError.

        The query of the scope becomes the one that was signed. A plus sign in a query is a space for HTML forms, and
        itself for RFC 3986; clients sign either.
        """
        query: bytes = scope["query_string"]
        claim = self._verifier.read_claim(query=query, headers=headers)
        signed_query = self._verifier.verify(
            claim,
            method=scope["method"],
            raw_path=scope["raw_path"],
            query=query,
            headers=headers,
            body=await read_body(),
        )
        scope["query_string"] = signed_query.replace(b"+", b"%2B")
        return self._watcher_of(claim.context.credential)

    def _watcher_of(self, credential: AwsCredential) -> PolicyWatcher:
        """Return the caller with a key. It is made at the first use: tests add keys to a running server."""
        watcher = self._watchers.get(credential.access_key_id)
        if watcher is None:
            authenticated = Authenticated(
                method=AuthenticationMethod.SIGNATURE,
                name=f"{credential.access_key_id} ({credential.user_name})",
                identity=credential.identity,
            )
            watcher = PolicyWatcher(authenticated, policy=PolicyEvaluator(credential.policy), region=self._region)
            self._watchers[credential.access_key_id] = watcher
        return watcher
