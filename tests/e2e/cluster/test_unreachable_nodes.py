"""A node that was started without `internal_listen` beside another one: each account has one owner all the same."""

from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.e2e.cluster.nodes import NO_INTERNAL_SERVER, Node
from tests.postgres_server import database

pytestmark = pytest.mark.slow

REASON = "started without internal_listen"


def test_a_node_without_an_internal_server_keeps_its_account_and_the_others_say_why(
    tmp_path: Path, postgres_server_url: str
) -> None:
    with (
        database(postgres_server_url) as url,
        Node(tmp_path / "alone", database_url=url, name="alone", **NO_INTERNAL_SERVER) as alone,
        Node(tmp_path / "other", database_url=url, name="other") as other,
    ):
        stage = alone.client().create_stage(name="first")["stage"]
        assert alone.owns_account()
        # What needs only the book, any node answers.
        assert other.client().get_stage(arn=stage["arn"])["stage"]["name"] == "first"
        with pytest.raises(ClientError, match=REASON) as caught:
            other.client().create_stage()
        response = caught.value.response["ResponseMetadata"]
        assert response["HTTPStatusCode"] == 503
        assert "retry-after" in response["HTTPHeaders"]
        token = alone.client().create_participant_token(stageArn=stage["arn"])["participantToken"]["token"]
        headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
        refused = httpx.post(f"{other.url}/whip", content=b"v=0\r\n", headers=headers, timeout=30)
        assert (refused.status_code, REASON in refused.text) == (503, True)
        assert not other.owns_account()
        assert "belongs to a node without internal_listen" in other.output
        alone.client().create_stage(name="second")
        # And the other way round: a node that the others do not know sends nothing on in their name.
        alone.kill()
        assert other.client().create_stage(name="third")["stage"]["name"] == "third"
        assert other.owns_account()
        with Node(tmp_path / "alone", database_url=url, name="alone", **NO_INTERNAL_SERVER) as again:
            assert again.client().get_stage(arn=stage["arn"])["stage"]["name"] == "first"
            with pytest.raises(ClientError, match="refuse each other's requests"):
                again.client().create_stage()
            assert not again.owns_account()
