"""The public keys that callers import, and which of them a self-signed token may name.

Owns when a key exists: from the answer to its import until the answer to its deletion. Knows no token's form.
"""

from collections import OrderedDict

from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.book.changes import DeleteResource, PutResource
from stagebook.book.store import BookReader
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.key_material import fingerprint, read_material
from stagebook.stage.arns import Arn
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ConflictError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.ids import new_resource_id
from stagebook.stage.input_rules import check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import PublicKey

RESOURCE_TYPE = "public-key"
REMEMBERED_KEYS = 1_024
PAGE_SIZE = 100


class KeyRing:
    """Finds imported keys by their ARN, for whoever checks signatures.

    The book is asked every time, so a deleted key is gone at once; only its parsed form is remembered. ARNs are never
    given out twice.
    """

    def __init__(self, book: BookReader) -> None:
        self._book = book
        self._parsed: OrderedDict[str, ec.EllipticCurvePublicKey] = OrderedDict()

    def find(self, arn: str) -> ec.EllipticCurvePublicKey | None:
        """Return the key of this ARN, or None when there is none (any more)."""
        resource = self._book.get_resource(arn)
        if not isinstance(resource, PublicKey):
            self._parsed.pop(arn, None)
            return None
        key = self._parsed.get(arn)
        if key is None:
            key = self._parsed[arn] = read_material(resource.material)
            if len(self._parsed) > REMEMBERED_KEYS:
                self._parsed.popitem(last=False)
        return key


class PublicKeyService:
    """Imports and deletes public keys."""

    def __init__(self, *, ledger: UnitOfWork, limits: Limits, region: str, randomness: Randomness) -> None:
        self._ledger = ledger
        self._limits = limits
        self._region = region
        self._randomness = randomness
        self._importing: set[tuple[str, str]] = set()

    async def import_key(self, *, account_id: str, name: str, tags: dict[str, str], material: str) -> PublicKey:
        """Import a key; return when it is durable.

        Raises InvalidInputError (material, tags), ConflictError when the account has this very key already, and
        ServiceQuotaExceededError.
        """
        check_tags(tags)
        mark = fingerprint(read_material(material))
        self._require_new(account_id, mark)
        if self._ledger.shelf.count(account_id, RESOURCE_TYPE) >= self._limits.public_keys:
            raise ServiceQuotaExceededError(quota="public keys", maximum=self._limits.public_keys)
        resource_id = new_resource_id(self._randomness)
        arn = Arn(region=self._region, account_id=account_id, resource_type=RESOURCE_TYPE, resource_id=resource_id)
        key = PublicKey(
            arn=str(arn),
            account_id=account_id,
            created_ms=self._ledger.now_ms(),
            name=name,
            tags=tags,
            material=material,
            fingerprint=mark,
        )
        self._importing.add((account_id, mark))
        durable = self._ledger.submit([PutResource(resource=key)])
        durable.add_done_callback(lambda _done: self._importing.discard((account_id, mark)))
        await durable
        return key

    def _require_new(self, account_id: str, mark: str) -> None:
        # A key under two ARNs would survive the deletion of one of them: that is what the conflict protects from.
        if (account_id, mark) in self._importing:
            raise ConflictError("this public key is being imported already")
        position: int | None = None
        while True:
            page = self._ledger.book.list_resources(account_id, RESOURCE_TYPE, after=position, limit=PAGE_SIZE)
            for known in page.items:
                same = isinstance(known, PublicKey) and known.fingerprint == mark
                if same and self._ledger.shelf.find(known.arn) is not None:
                    raise ConflictError(f"this public key is imported already, as {known.arn}")
            position = page.next_position
            if position is None:
                return

    async def delete(self, *, arn: str) -> None:
        """Delete a key: no token that it signed admits anybody any more. Who is on a stage stays.

        Raises ResourceNotFoundError.
        """
        if not isinstance(self._ledger.shelf.find(arn), PublicKey):
            raise ResourceNotFoundError(kind="public key", name=arn)
        await self._ledger.submit([DeleteResource(arn=arn)])
