"""The URLs of channels: what is a valid one, and what is its key."""

import pytest

from stagebook.media.rtmp.push.push_address import parse_push_url


def test_what_follows_the_last_slash_is_the_stream_name() -> None:
    address = parse_push_url("rtmps://ingest.example.com/app/inner/sk_key?token=1")
    assert (address.host, address.port, address.is_secure) == ("ingest.example.com", 443, True)
    assert (address.app, address.stream_name) == ("app/inner", "sk_key?token=1")
    assert address.tc_url == "rtmps://ingest.example.com:443/app/inner"


def test_a_port_and_an_ipv6_host_are_kept() -> None:
    address = parse_push_url("rtmp://[::1]:1936/app/key")
    assert (address.host, address.port, address.is_secure) == ("::1", 1936, False)
    assert address.tc_url == "rtmp://[::1]:1936/app"


def test_the_stream_name_is_not_shown() -> None:
    assert "secret" not in repr(parse_push_url("rtmp://host/app/secret"))


@pytest.mark.parametrize(
    "url",
    [
        "http://host/app/secret",
        "rtmp://host/secret",
        "rtmp://host/app/",
        "rtmp:///app/secret",
        "rtmp://host:0/app/secret",
        "rtmp://host:99999/app/secret",
        "rtmp://user:secret@host/app/secret",
        "rtmp://host/app/secret#part",
        "rtmp://host/app/secret\n",
        "rtmp://host/app/" + "secret" * 400,
    ],
)
def test_another_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refused:
        parse_push_url(url)
    assert "secret" not in str(refused.value)
