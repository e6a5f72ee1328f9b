"""Lines of Python as requests of the testing API."""

import pytest

from contrib.site.testing_lines import http_lines, tabs


@pytest.mark.parametrize(
    ("line", "request_line"),
    [
        ("participant.join()", "POST /testing/v1/participants/{participant}/join"),
        ("viewer.lose_connection()", "POST /testing/v1/participants/{viewer}/lose-connection"),
        ("viewer.subscribe(participant)", 'POST /testing/v1/participants/{viewer}/subscribe {"to": "{participantId}"}'),
        ('encoder.fail_publish("A")', 'POST /testing/v1/encoders/{encoder}/fail-publish {"errorCode": "A"}'),
        (
            'viewer.fail_subscribe("A", participant)',
            'POST /testing/v1/participants/{viewer}/fail-subscribe {"errorCode": "A", "to": "{participantId}"}',
        ),
        (
            'participant.exchange_token(capabilities=["SUBSCRIBE"])',
            'POST /testing/v1/participants/{participant}/exchange-token {"capabilities": ["SUBSCRIBE"]}',
        ),
    ],
)
def test_a_call_is_a_request(line: str, request_line: str) -> None:
    assert list(http_lines(line)) == [request_line]


def test_a_call_of_the_aws_api_is_no_request() -> None:
    assert list(http_lines("ivs.create_stage()")) == []
    assert "HTTP" not in tabs("ivs.create_stage()")
