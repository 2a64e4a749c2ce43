import numpy as np
import pytest

from transports.rtp.tones import COLUMNS_HZ, ROWS_HZ, ToneDetector, ToneSender, make_tone

KEYS = "147*2580369#ABCD"


def detect(pcm: bytes, rate_hz: int = 8000, chunk: int = 320) -> str:
    detector = ToneDetector(rate_hz)
    return "".join(key for at in range(0, len(pcm), chunk) for key in detector.receive(pcm[at : at + chunk]))


def pair(low: float, high: float, low_db: float = -12, high_db: float = -12, ms: int = 80, noise_db: float = -90):
    t = np.arange(8 * ms) / 8000
    wave = 10 ** (low_db / 20) * np.sin(2 * np.pi * low * t) + 10 ** (high_db / 20) * np.sin(2 * np.pi * high * t + 1)
    wave += 10 ** (noise_db / 20) * np.random.default_rng(3).standard_normal(len(t))
    return bytes(400) + np.clip(wave * 32767, -32768, 32767).astype("<i2").tobytes() + bytes(1000)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_every_key_is_found_once(rate_hz: int) -> None:
    gap = bytes(rate_hz // 1000 * 2 * 60)
    assert detect(b"".join(make_tone(key, 80, rate_hz) + gap for key in KEYS), rate_hz) == KEYS


@pytest.mark.parametrize("offset", range(0, 102, 17))
def test_forty_milliseconds_are_enough_and_twenty_are_not(offset: int) -> None:
    lead, tail = bytes(2 * offset), bytes(1000)
    assert detect(lead + make_tone("7", 40, 8000) + tail) == "7"
    assert detect(lead + make_tone("7", 20, 8000) + tail) == ""


def test_the_same_key_twice_is_two_and_a_dropout_of_ten_milliseconds_is_one() -> None:
    tone = make_tone("4", 80, 8000)
    assert detect(tone + bytes(2 * 8 * 50) + tone + bytes(1000)) == "44"
    assert detect(tone + bytes(2 * 8 * 10) + tone + bytes(1000)) == "4"


@pytest.mark.parametrize(("low_db", "high_db", "found"), [
    (-20, -13, "5"), (-13, -17, "5"), (-20, -8, ""), (-8, -20, ""), (-45, -45, ""), (-30, -30, "5"),
])  # fmt: skip
def test_twist_and_level_have_limits(low_db: float, high_db: float, found: str) -> None:
    assert detect(pair(770, 1336, low_db, high_db)) == found


@pytest.mark.parametrize("shift", [0.985, 1.015])
def test_a_tone_off_by_one_and_a_half_per_cent_is_still_found(shift: float) -> None:
    assert detect(pair(852 * shift, 1477 * shift)) == "9"


@pytest.mark.parametrize("shift", [0.95, 1.05])
def test_a_tone_off_by_five_per_cent_is_not(shift: float) -> None:
    assert detect(pair(852 * shift, 1336 * shift)) == ""


def test_noise_twenty_decibels_down_hides_no_key() -> None:
    assert detect(pair(941, 1209, noise_db=-32)) == "*"


def test_one_tone_alone_is_no_key() -> None:
    for hz in ROWS_HZ + COLUMNS_HZ:
        assert detect(pair(hz, hz)) == ""


def test_buzzing_and_noisy_sounds_are_no_keys() -> None:
    chance = np.random.default_rng(5)
    t = np.arange(8000 * 20) / 8000
    pitch = 2 * np.pi * np.cumsum(120 + 60 * np.sin(2 * np.pi * 0.7 * t)) / 8000
    buzz = sum(np.sin(n * pitch) / n for n in range(1, 20)) * 5000
    noise = chance.normal(0, 4000, len(t))
    for sound in (buzz, noise, buzz + noise / 4):
        assert detect(np.clip(sound, -32768, 32767).astype("<i2").tobytes()) == ""


def test_no_telephone_has_other_keys() -> None:
    with pytest.raises(ValueError, match="key"):
        make_tone("E", 100, 8000)


def test_keys_that_are_pressed_are_found_again_in_frames_of_twenty_milliseconds() -> None:
    sender, detector, found = ToneSender(24_000), ToneDetector(24_000), []
    sender.send("15,9#d")
    frames = []
    while (frame := sender.next_frame()) is not None:
        frames.append(frame)
        found += detector.receive(frame)
    assert {len(frame) for frame in frames} == {960}
    assert len(frames) * 20 == 5 * 200 + 500
    assert "".join(found) == "159#D"
    assert not sender.is_sending


def test_no_more_keys_wait_than_a_line_has() -> None:
    sender = ToneSender()
    sender.send("1" * 64)
    with pytest.raises(ValueError, match="at most 64"):
        sender.send("2")
