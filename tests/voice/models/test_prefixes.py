from pathlib import Path

import pytest

from voice.models.prefixes import Prefixes, copy_prefixes


class States:
    """Slot states in files, and what was restored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.restored: list[tuple[int, str]] = []
        self.works = True

    def save(self, slot: int, name: str) -> bool:
        if self.works:
            (self.folder / name).write_text(f"state of {slot}")
        return self.works

    def restore(self, slot: int, name: str) -> bool:
        self.restored.append((slot, name))
        return self.works


@pytest.fixture
def states(tmp_path: Path) -> States:
    return States(tmp_path)


def prefixes(states: States, model: str = "m") -> Prefixes:
    return Prefixes(states.folder, states, model=model)


def test_the_longest_saved_prefix_is_restored(states: States) -> None:
    kept = prefixes(states)
    kept.save(0, "You are", 200)
    kept.save(0, "You are a receptionist.", 300)
    assert kept.restore(2, "You are a receptionist. Hello") == "You are a receptionist."


def test_a_slot_that_holds_more_already_is_left_alone(states: States) -> None:
    kept = prefixes(states)
    kept.save(0, "You are", 200)
    assert kept.restore(1, "You are late", longer_than=9) == ""
    assert states.restored == []


def test_another_prompt_finds_nothing(states: States) -> None:
    kept = prefixes(states)
    kept.save(0, "You are", 200)
    assert kept.restore(1, "I am") == ""


def test_they_outlive_the_process(states: States) -> None:
    prefixes(states).save(0, "You are", 200)
    assert prefixes(states).restore(1, "You are here") == "You are"


def test_another_models_are_not_used(states: States) -> None:
    prefixes(states).save(0, "You are", 200)
    assert prefixes(states, "other").restore(1, "You are here") == ""


def test_a_short_prefix_is_not_worth_a_file(states: States) -> None:
    kept = prefixes(states)
    kept.save(0, "Hi", 10)
    assert list(states.folder.iterdir()) == []


def test_only_a_few_are_kept(states: States) -> None:
    kept = prefixes(states)
    for number in range(20):
        kept.save(0, f"{number} prompt", 200)
    assert len(list(states.folder.glob("*.state"))) == 8
    assert kept.restore(0, "0 prompt") == ""
    assert kept.restore(0, "19 prompt") == "19 prompt"


def test_a_state_that_cannot_be_written_or_read_is_only_slower(states: States) -> None:
    kept = prefixes(states)
    states.works = False
    kept.save(0, "You are", 200)
    assert kept.restore(0, "You are") == ""


def test_a_damaged_index_is_an_empty_one(states: States) -> None:
    prefixes(states).save(0, "You are", 200)
    (states.folder / "index.json").write_text("{")
    assert prefixes(states).restore(0, "You are") == ""


def test_prefixes_outlive_the_service_in_a_private_folder(states: States, tmp_path: Path) -> None:
    prefixes(states).save(0, "You are a receptionist.", 300)
    store, next_run = tmp_path / "store", tmp_path / "next"
    copy_prefixes(tmp_path, store)
    assert store.stat().st_mode & 0o077 == 0
    copy_prefixes(store, next_run)
    kept = prefixes(States(next_run))
    assert kept.restore(1, "You are a receptionist. Hello") == "You are a receptionist."


def test_a_store_keeps_no_prefix_that_is_gone(states: States, tmp_path: Path) -> None:
    store = tmp_path / "store"
    kept = prefixes(states)
    for index in range(10):
        kept.save(0, f"Agent {index}.", 300)
        copy_prefixes(tmp_path, store)
    assert len(list(store.glob("*.state"))) == len(list(tmp_path.glob("*.state"))) < 10


def test_an_empty_store_is_no_obstacle(tmp_path: Path) -> None:
    copy_prefixes(tmp_path / "nothing", tmp_path / "next")
    assert not (tmp_path / "next").exists()
