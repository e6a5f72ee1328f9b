"""The handles of simulated peers: their ids, and their bound."""

from dataclasses import dataclass

import pytest

from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.testing.participants.handle_table import HandleTable


@dataclass
class Kept:
    is_idle: bool = True


def test_a_new_handle_takes_the_place_of_the_oldest_idle_one() -> None:
    table: HandleTable[Kept] = HandleTable(kind="participant", limit=3)
    busy, idle, other = Kept(is_idle=False), Kept(), Kept()
    names = [table.add(each) for each in (busy, idle, other, Kept())]
    assert names == ["participant-1", "participant-2", "participant-3", "participant-4"]
    assert (len(table), table.get("participant-1")) == (3, busy)
    with pytest.raises(ApiRefusedError, match="there is no participant participant-2"):
        table.get("participant-2")


def test_a_table_of_handles_in_use_is_full() -> None:
    table: HandleTable[Kept] = HandleTable(kind="encoder", limit=1)
    name = table.add(Kept(is_idle=False))
    with pytest.raises(ApiRefusedError, match="1 encoders without media") as caught:
        table.add(Kept())
    assert caught.value.status == 429
    table.remove(name)
    table.remove(name)
    assert table.add(Kept()) == "encoder-2"
