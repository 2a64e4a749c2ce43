"""Noise reduction in a session: the input buffer and voice activity hear what it leaves."""

import base64

import numpy as np
import pytest

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.protocol.session_fields import NoiseReduction
from voice.session.conditioning import InputConditioner
from voice.session.effects import DetectVoice

NOISE = np.random.default_rng(5).normal(0, 300, 3 * CORE_RATE_HZ).astype("<i2").tobytes()


def rms(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2)))


def update(stepper, reduction, **more):
    audio = {"input": {"noise_reduction": reduction, **more}}
    return stepper.send({"type": "session.update", "session": {"type": "realtime", "audio": audio}})


def append(stepper, pcm, size=960):
    heard = b""
    for start in range(0, len(pcm), size):
        audio = base64.b64encode(pcm[start : start + size]).decode()
        effects = stepper.send({"type": "input_audio_buffer.append", "audio": audio})
        heard += b"".join(effect.frame.pcm for effect in effects if isinstance(effect, DetectVoice))
    return heard


def test_without_it_nothing_is_changed(stepper):
    assert append(stepper, NOISE) == NOISE


@pytest.mark.parametrize(("kind", "quieter"), [("near_field", 2.8), ("far_field", 6)])
def test_voice_activity_hears_less_noise(stepper, kind, quieter):
    update(stepper, {"type": kind})
    heard = append(stepper, NOISE)
    assert rms(NOISE[-CORE_RATE_HZ:]) / rms(heard[-CORE_RATE_HZ:]) > quieter


def test_what_is_committed_is_what_was_cleaned_and_nothing_is_missing(stepper):
    update(stepper, {"type": "far_field"}, turn_detection=None)
    append(stepper, NOISE)
    stepper.send({"type": "input_audio_buffer.commit"})
    (part,) = stepper.session.conversation.items[0].parts
    assert part.duration_ms == 3000
    assert rms(part.pcm[-CORE_RATE_HZ:]) < rms(NOISE) / 6


def test_100_ms_are_enough_for_a_commit_with_it_too(stepper, types):
    update(stepper, {"type": "near_field"}, turn_detection=None)
    append(stepper, NOISE[:4800])
    effects = stepper.send({"type": "input_audio_buffer.commit"})
    assert "error" not in types(effects)


def test_what_is_cleared_is_not_in_the_next_turn(stepper):
    update(stepper, {"type": "near_field"}, turn_detection=None)
    append(stepper, NOISE[:4800])
    stepper.send({"type": "input_audio_buffer.clear"})
    append(stepper, NOISE[:9600])
    stepper.send({"type": "input_audio_buffer.commit"})
    assert stepper.session.conversation.items[0].parts[0].duration_ms == 200


def test_switching_in_the_middle_loses_and_repeats_nothing(stepper):
    heard = b""
    for reduction in (None, {"type": "near_field"}, {"type": "far_field"}, {"type": "far_field"}, None):
        effects = update(stepper, reduction)
        heard += b"".join(effect.frame.pcm for effect in effects if isinstance(effect, DetectVoice))
        heard += append(stepper, NOISE[:48_010], size=1002)
    assert len(heard) == 5 * 48_010
    assert heard[:48_010] == heard[-48_010:] == NOISE[:48_010]


def test_the_clock_is_the_callers_own(stepper):
    update(stepper, {"type": "near_field"})
    effects = update(stepper, None)
    append(stepper, NOISE[:4800])
    effects = stepper.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(NOISE[:960]).decode()})
    (detect,) = [effect for effect in effects if isinstance(effect, DetectVoice)]
    assert detect.frame.pts == 2400


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_is_cleaned(stepper, kind):
    update(stepper, {"type": "far_field"}, format={"type": kind})
    heard = append(stepper, bytes(range(0, 256, 2)) * 400, size=160)
    assert abs(len(heard) - 51_200 * 6) <= 24 * 2 * 20


def test_frames_of_a_transport_are_cleaned(stepper):
    update(stepper, {"type": "far_field"})
    heard = b""
    pcm = np.random.default_rng(5).normal(0, 300, 48_000 * 3).astype("<i2").tobytes()
    for start in range(0, len(pcm), 1920):
        effects = stepper.take(stepper.session.receive_audio(AudioFrame(pcm[start : start + 1920], 48_000)))
        heard += b"".join(effect.frame.pcm for effect in effects if isinstance(effect, DetectVoice))
    assert rms(heard[-CORE_RATE_HZ:]) < 50


@pytest.mark.parametrize(("strength", "quieter"), [(0.0, 1.0), (0.5, 2.8), (1.0, 6), (7.0, 6), (-1.0, 1.0)])
def test_strength_scales_it(strength, quieter):
    conditioner = InputConditioner()
    conditioner.configure(NoiseReduction(type="far_field", strength=strength))
    cleaned = conditioner.process(NOISE, CORE_RATE_HZ) + conditioner.settle()
    assert rms(NOISE[-CORE_RATE_HZ:]) / rms(cleaned[-CORE_RATE_HZ:]) >= quieter
