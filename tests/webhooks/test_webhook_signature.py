"""Signatures, verified by the library of Standard Webhooks."""

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from stagebook.webhooks.webhook_signature import signed_headers

SECRET, OTHER = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
BODY = '{"text":"é"}'.encode()


def headers(*secrets: str) -> dict[str, str]:
    return signed_headers(BODY, message_id="id-1", time_s=int(time.time()), secrets=secrets)


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_a_message_is_signed_with_both_secrets_during_a_rotation(secret: str) -> None:
    assert Webhook(secret).verify(BODY, headers(SECRET, OTHER)) == {"text": "é"}


def test_another_secret_does_not_verify_a_message() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers(SECRET))


def test_another_body_is_not_verified() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers(SECRET))
