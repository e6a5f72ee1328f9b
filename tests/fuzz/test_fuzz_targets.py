"""The contracts of the fuzz targets hold for the committed inputs, which `make fuzz` starts from."""

import pytest

from tests.fuzz.all_targets import TARGETS
from tests.fuzz.fuzz_target import CORPUS, FuzzTarget

INPUTS = [(target, name, data) for target in TARGETS.values() for name, data in target.inputs()]


@pytest.mark.parametrize(("target", "name", "data"), INPUTS, ids=[f"{t.name}-{name}" for t, name, _ in INPUTS])
def test_the_contract_holds_for_an_input(target: FuzzTarget, name: str, data: bytes) -> None:
    assert len(data) <= target.max_size_bytes, name
    target.check_work(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 100], ids=["empty", "zero", "ones"])
def test_the_contract_holds_for_inputs_without_a_meaning(target: FuzzTarget, data: bytes) -> None:
    target.check_work(data)


def test_each_target_has_inputs_to_start_from() -> None:
    assert [target.name for target in TARGETS.values() if not list(target.inputs())] == []


def test_each_corpus_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= set(TARGETS)
