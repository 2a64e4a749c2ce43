"""The caller's loudspeaker: what was heard, and when."""

from voice.talk.player import Cut, Player


def pcm(samples: int, value: int = 1) -> bytes:
    return value.to_bytes(2, "little") * samples


def test_audio_that_comes_early_waits_for_its_turn() -> None:
    player = Player()
    assert player.receive("a", 0, pcm(2_400), at_sample=1_000) == 1_000
    assert player.receive("a", 0, pcm(2_400), at_sample=1_100) == 3_400
    assert player.end_sample == 5_800


def test_audio_that_comes_late_leaves_a_gap() -> None:
    player = Player()
    player.receive("a", 0, pcm(10), at_sample=0)
    player.receive("a", 0, pcm(10, 2), at_sample=15)
    assert player.render() == pcm(10) + bytes(10) + pcm(10, 2)


def test_a_flush_cuts_at_the_sample_and_tells_what_was_heard() -> None:
    player = Player()
    player.receive("a", 0, pcm(24_000), at_sample=0)
    player.receive("a", 0, pcm(24_000), at_sample=0)
    assert player.flush(36_000) == [Cut("a", 0, 1_500)]
    assert len(player.render()) == 72_000
    assert not player.is_playing(36_000)


def test_an_item_that_had_not_begun_was_heard_for_nothing() -> None:
    player = Player()
    player.receive("a", 0, pcm(24_000), at_sample=0)
    player.receive("b", 0, pcm(24_000), at_sample=0)
    assert player.flush(12_000) == [Cut("a", 0, 500), Cut("b", 0, 0)]
    assert len(player.render()) == 24_000


def test_a_flush_after_the_end_cuts_nothing() -> None:
    player = Player()
    player.receive("a", 0, pcm(100), at_sample=0)
    assert player.flush(100) == []
    assert player.heard_ms("a", 0, 100) == 4


def test_what_comes_after_a_flush_plays_at_once() -> None:
    player = Player()
    player.receive("a", 0, pcm(24_000), at_sample=0)
    player.flush(240)
    assert player.receive("b", 0, pcm(240), at_sample=480) == 480
