"""The values of the media bus."""

from stagebook.media.media_bus import FeedTicket, Hello


def test_the_repr_of_a_ticket_hides_its_token() -> None:
    assert "secret" not in repr(FeedTicket(path="/p", token="secret"))


def test_the_repr_of_a_hello_hides_its_token() -> None:
    assert "secret" not in repr(Hello(token="secret", video_parameters=""))
