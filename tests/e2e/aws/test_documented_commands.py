"""The example commands of the AWS CLI reference for configurations and compositions, run unchanged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stagebook.book.changes import PutResource
from stagebook.stage.resources import EncoderConfiguration, Resource, StorageConfiguration
from tests.e2e.aws.aws_cli import Example, documented, run
from tests.e2e.aws.documented_example import ACCOUNT_ID, write_book, write_documented_book
from tests.e2e.aws.valid_inputs import Json
from tests.e2e.server import REGION, RunningServer, run_server

TOKYO = "ap-northeast-1"
CREATED_MS = 1_697_500_000_000
CHOSEN_BY_THE_SERVER = {"arn", "streamKey", "participantId"}
COMPOSITION_EXAMPLES = [
    example for page in ("start-composition", "get-composition", "stop-composition") for example in documented(page)
]
"""The stages and compositions of these examples are not in the book."""


def encoder(resource_id: str) -> Resource:
    """Return the documented encoder configuration with this id."""
    return EncoderConfiguration(
        arn=f"arn:aws:ivs:{TOKYO}:{ACCOUNT_ID}:encoder-configuration/{resource_id}",
        account_id=ACCOUNT_ID,
        created_ms=CREATED_MS,
        name="test-ec",
        width=1_920,
        height=1_080,
        bitrate_bps=3_500_000,
    )


def storage(resource_id: str) -> Resource:
    """Return the documented storage configuration with this id."""
    return StorageConfiguration(
        arn=f"arn:aws:ivs:{TOKYO}:{ACCOUNT_ID}:storage-configuration/{resource_id}",
        account_id=ACCOUNT_ID,
        created_ms=CREATED_MS,
        name="test-sc",
        bucket_name="amzn-s3-demo-bucket",
    )


@pytest.fixture(scope="module")
def tokyo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server in the region of the examples, with the resources that the examples name."""
    data = tmp_path_factory.mktemp("tokyo") / "data"
    resources = [
        create(resource_id) for create in (encoder, storage) for resource_id in ("ABabCDcdEFef", "abcdABCDefgh")
    ]
    write_book(data, *(PutResource(resource=resource) for resource in resources))
    with run_server(data, region=TOKYO) as running:
        yield running


@pytest.fixture
def oregon(tmp_path: Path) -> Iterator[RunningServer]:
    """A server with the documented ingest configuration and stage."""
    write_documented_book(tmp_path / "data")
    with run_server(tmp_path / "data") as running:
        yield running


def output_of(server: RunningServer, example: Example, *, region: str) -> Json:
    return run(server, example, region=region).json


def only(page: str) -> Example:
    """Return the example of a page that has exactly one."""
    (example,) = documented(page)
    return example


def assert_documented_members(printed: Json, expected: Json, *, except_for: frozenset[str] = frozenset()) -> None:
    """Assert that the output is one resource with the documented members.

    The members must have their documented values, except those in `except_for`.
    """
    ((name, resource),) = expected.items()
    assert printed.keys() == {name}
    assert printed[name].items() >= {key: value for key, value in resource.items() if key not in except_for}.items()
    assert printed[name].keys() >= resource.keys()


def test_ingest_configurations(oregon: RunningServer) -> None:
    example = only("get-ingest-configuration")
    assert_documented_members(output_of(oregon, example, region=REGION), example.output)
    example = only("update-ingest-configuration")
    assert_documented_members(output_of(oregon, example, region=REGION), example.output)
    example = only("create-ingest-configuration")
    assert_documented_members(
        output_of(oregon, example, region=REGION), example.output, except_for=frozenset(CHOSEN_BY_THE_SERVER)
    )

    listed = output_of(oregon, only("list-ingest-configurations"), region=REGION)["ingestConfigurations"]
    assert [row["name"] for row in listed] == ["ingest1", "ingest1"]
    documented_members = {"name", "arn", "ingestProtocol", "stageArn", "participantId", "state", "userId"}
    assert all(row.keys() >= documented_members for row in listed)


@pytest.mark.parametrize(
    "number", [pytest.param(0, id="inactive", marks=pytest.mark.slow), pytest.param(1, id="force")]
)
def test_deleting_an_ingest_configuration(oregon: RunningServer, number: int) -> None:
    example = documented("delete-ingest-configuration")[number]
    assert output_of(oregon, example, region=REGION) is None
    assert output_of(oregon, only("list-ingest-configurations"), region=REGION) == {"ingestConfigurations": []}


@pytest.mark.parametrize("kind", ["encoder", pytest.param("storage", marks=pytest.mark.slow)])
def test_encoder_and_storage_configurations(tokyo: RunningServer, kind: str) -> None:
    example = only(f"get-{kind}-configuration")
    assert_documented_members(output_of(tokyo, example, region=TOKYO), example.output)
    example = only(f"create-{kind}-configuration")
    assert_documented_members(
        output_of(tokyo, example, region=TOKYO), example.output, except_for=frozenset(CHOSEN_BY_THE_SERVER)
    )

    example = only(f"list-{kind}-configurations")
    ((name, listed),) = output_of(tokyo, example, region=TOKYO).items()
    assert len(listed) == 3
    assert {frozenset(row) for row in listed} == {frozenset(row) for row in example.output[name]}

    assert output_of(tokyo, only(f"delete-{kind}-configuration"), region=TOKYO) is None
    ((_, listed),) = output_of(tokyo, example, region=TOKYO).items()
    assert len(listed) == 2


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(example, id=str(number), marks=[pytest.mark.slow] if number else [])
        for number, example in enumerate(COMPOSITION_EXAMPLES)
    ],
)
def test_composition_commands_fail_with_the_documented_error_code(tokyo: RunningServer, example: Example) -> None:
    outcome = run(tokyo, example, region=TOKYO)
    assert outcome.exit_code in {254, 255}
    assert "ResourceNotFoundException" in outcome.stderr


def test_the_list_of_compositions_is_empty(tokyo: RunningServer) -> None:
    assert output_of(tokyo, only("list-compositions"), region=TOKYO) == {"compositions": []}
