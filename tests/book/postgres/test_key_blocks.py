"""Blocks of keys: keys only grow, and new blocks are asked for in time."""

from stagebook.book.postgres.key_blocks import BLOCK_KEYS, KeyBlocks


class Source:
    """Numbers blocks, and counts how often they are asked for."""

    def __init__(self) -> None:
        self.number = 0
        self.lows = 0
        self.blocks = KeyBlocks(fetch=self.next, low=self._low)

    def next(self) -> int:
        self.number += 1
        return self.number

    def _low(self) -> None:
        self.lows += 1


def test_keys_grow_from_block_to_block() -> None:
    source = Source()
    keys = [source.blocks.take() for _ in range(3 * BLOCK_KEYS)]
    assert keys == sorted(set(keys))
    assert source.number == 3
    assert keys[0] == BLOCK_KEYS


def test_a_block_is_asked_for_before_the_last_one_is_used_up() -> None:
    source = Source()
    source.blocks.add(source.next())
    source.blocks.take()
    assert source.lows == 1
    source.blocks.add(source.next())
    for _ in range(BLOCK_KEYS - 1):
        source.blocks.take()
    assert (source.lows, source.number, source.blocks.left) == (1, 2, BLOCK_KEYS)


def test_no_key_of_a_block_that_was_thrown_away_is_given() -> None:
    source = Source()
    source.blocks.add(source.next())
    late = source.next()  # fetched before the block of the account, and added after it
    source.blocks.throw_away()
    source.blocks.add(source.next())
    source.blocks.add(late)
    keys = [source.blocks.take() for _ in range(BLOCK_KEYS + 1)]
    assert keys[0] == 3 * BLOCK_KEYS
    assert keys[-1] == 4 * BLOCK_KEYS


def test_a_key_that_was_given_back_is_given_again() -> None:
    source = Source()
    first, second = source.blocks.take(), source.blocks.take()
    source.blocks.give_back(second)
    source.blocks.give_back(first)
    assert source.blocks.take() == first


def test_a_key_of_an_earlier_block_is_not_taken_back() -> None:
    source = Source()
    old = source.blocks.take()
    source.blocks.throw_away()
    new = source.blocks.take()
    source.blocks.give_back(old)
    assert source.blocks.take() == new + 1
