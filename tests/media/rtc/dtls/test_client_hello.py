"""The extension that tells OpenSSL's ClientHello from a browser's."""

import pytest

from stagebook.media.rtc.dtls.client_hello import is_client_hello, offers_encrypt_then_mac, starts_client_hello
from tests.media.rtc.dtls.dtls_client import DtlsClient


def client_hello(*, is_browser: bool = False) -> bytes:
    (hello,) = DtlsClient(is_browser=is_browser).step([])
    return hello


@pytest.mark.parametrize("is_browser", [False, True])
def test_openssl_offers_encrypt_then_mac_unless_it_is_told_not_to(*, is_browser: bool) -> None:
    assert offers_encrypt_then_mac(client_hello(is_browser=is_browser)) is not is_browser


def test_a_client_hello_that_is_cut_off_or_changed_anywhere_is_read_without_an_error() -> None:
    hello = client_hello()
    assert starts_client_hello(hello)
    for size in range(len(hello)):
        assert starts_client_hello(hello[:size]) is (size >= 25)
        assert not offers_encrypt_then_mac(hello[:size])
    for position in range(len(hello)):
        offers_encrypt_then_mac(hello[:position] + b"\xff" + hello[position + 1 :])


def test_another_message_is_none() -> None:
    hello = bytearray(client_hello())
    hello[13] = 2
    assert not offers_encrypt_then_mac(bytes(hello))
    assert not starts_client_hello(bytes(hello))


def test_a_later_fragment_does_not_start_a_client_hello() -> None:
    hello = bytearray(client_hello())
    hello[21] = 1
    assert is_client_hello(bytes(hello))
    assert not starts_client_hello(bytes(hello))
