"""Ids: unique, in order, and none of them for somebody else to take first."""

from voice.ids import Ids


def test_ids_are_unique_and_sort_by_age() -> None:
    ids = Ids()
    minted = [ids.mint("item") for _ in range(300)]
    assert len(set(minted)) == 300
    assert sorted(minted) == minted


def test_what_may_be_minted_yet_is_known_and_nothing_else_is() -> None:
    ids = Ids("1f0c")
    first = ids.mint("item")
    assert not ids.is_to_come(first)
    assert ids.is_to_come("item_1f0c00002")
    assert ids.is_to_come("mcpr_1f0cfffff")
    for other in ("item_1f0c", "item_1f0c2", "item_1f0cx0002", "item_2e0c00002", "1f0c00002", ""):
        assert not ids.is_to_come(other)
    assert ids.mint("item") == "item_1f0c00002"
