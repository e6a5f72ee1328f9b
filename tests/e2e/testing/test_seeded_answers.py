"""Whole answers that are equal: with the same seed, in one server for two accounts, and in two servers."""

import json
from pathlib import Path
from typing import Any

from stagebook.data_folder.secrets import DataFolder, write_atomically
from stagebook.manager.tokens.jwt_authority import new_private_key_pem
from tests.e2e.testing.controlled_server import ControlledServer
from tests.serving import ServerProcess

ACCOUNT = "123123123123"
PUBLIC = (
    *("--public-url", "https://stages.example.com"),
    *("--rtmp-public-url", "rtmp://stages.example.com/app/"),
    *("--rtmps-public-url", "rtmps://stages.example.com/app/"),
)
AT = "2090-01-01T00:00:00Z"


def answers(controlled: ControlledServer, account: dict[str, str]) -> Any:  # noqa: ANN401 - a JSON document
    """Make one of each resource with ids of seed 7; return the answers, without the ids of their requests."""
    assert controlled.put("/seed", seed=7) == {"seed": 7}
    ivs = controlled.client(account)
    stage = ivs.create_stage(name="main", participantTokenConfigurations=[{"userId": "one"}, {"userId": "two"}])
    arn = stage["stage"]["arn"]
    made = [
        stage,
        ivs.create_participant_token(stageArn=arn),
        ivs.create_ingest_configuration(ingestProtocol="RTMPS", stageArn=arn),
        ivs.create_encoder_configuration(),
        ivs.create_storage_configuration(s3={"bucketName": "recordings"}),
        ivs.get_stage(arn=arn),
    ]
    for answer in made:
        del answer["ResponseMetadata"]
    return json.loads(json.dumps(made, default=str))


def without_tokens(answer: Any) -> Any:  # noqa: ANN401 - a JSON document
    """Return a document without the tokens in it, which contain the account and are signed."""
    if isinstance(answer, dict):
        return {name: without_tokens(value) for name, value in answer.items() if name != "token"}
    return [without_tokens(item) for item in answer] if isinstance(answer, list) else answer


def test_whole_answers_are_equal_with_the_same_seed(tmp_path: Path) -> None:
    signing_key, found = new_private_key_pem(), []
    for name in ("one", "two"):
        data = tmp_path / name
        data.mkdir(mode=0o700)
        write_atomically(DataFolder(data).token_key_path, signing_key)
        with ServerProcess(data, "--testing", *PUBLIC) as server, ControlledServer(server) as controlled:
            controlled.post("/clock/freeze", at=AT)
            account = controlled.post("/accounts", accountId=ACCOUNT)
            found.append(answers(controlled, account))
            if name == "two":
                other = controlled.post("/accounts")
                in_other_account = answers(controlled, other)
                again = answers(controlled, account)

    # In two servers with the same signing key, the tokens are equal as well, signatures included.
    assert found[0] == found[1]
    assert found[0][0]["participantTokens"][0]["token"].count(".") == 2
    # In one server they are equal for two accounts, apart from the account.
    text, other_text = (json.dumps(without_tokens(each)) for each in (found[0], in_other_account))
    assert text.replace(ACCOUNT, "") == other_text.replace(other["accountId"], "")
    # In one account, ids that exist are passed over.
    assert again[0]["stage"]["arn"] != found[0][0]["stage"]["arn"]
