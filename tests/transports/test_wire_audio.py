"""Audio deltas as they stand on the wire."""

import base64
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from transports.wire_audio import MAX_DELTA_BYTES, MAX_STREAMS, AudioDeltas
from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.ids import Ids
from voice.session.effects import FinishAudio, PlayAudio, WireFormat


def play(pcm: bytes, wire_format: WireFormat = "audio/pcm", item_id: str = "item_1") -> PlayAudio:
    return PlayAudio("resp_1", item_id, 2, 1, AudioFrame(pcm, CORE_RATE_HZ), wire_format)


def finish(item_id: str = "item_1") -> FinishAudio:
    return FinishAudio("resp_1", item_id)


def read(texts: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads(text) for text in texts]


def audio(events: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(event["delta"], validate=True) for event in events)


def tone(samples: int) -> bytes:
    return bytes((8000 * np.sin(np.arange(samples) * 0.1)).astype("<i2"))


@pytest.fixture
def deltas() -> AudioDeltas:
    return AudioDeltas(Ids("stem"))


def test_pcm_goes_out_as_it_is_under_the_address_of_its_item(deltas: AudioDeltas) -> None:
    (event,) = read(deltas.encode(play(b"\x01\x02\x03\x04")))
    assert event == {
        "type": "response.output_audio.delta",
        "event_id": "event_stem00001",
        "response_id": "resp_1",
        "item_id": "item_1",
        "output_index": 2,
        "content_index": 1,
        "delta": "AQIDBA==",
    }


def test_every_event_has_an_id_of_its_own(deltas: AudioDeltas) -> None:
    events = read([text for _ in range(3) for text in deltas.encode(play(bytes(2)))])
    assert len({event["event_id"] for event in events}) == 3


def test_a_long_run_is_split_and_nothing_is_lost(deltas: AudioDeltas) -> None:
    pcm = tone(CORE_RATE_HZ * 10)
    texts = list(deltas.encode(play(pcm)))
    assert len(texts) == -(-len(pcm) // MAX_DELTA_BYTES)
    assert max(map(len, texts)) < 100 * 1024
    assert audio(read(texts)) == pcm


def test_short_runs_are_not_gathered(deltas: AudioDeltas) -> None:
    assert [len(list(deltas.encode(play(tone(480))))) for _ in range(5)] == [1] * 5


@pytest.mark.parametrize("wire_format", ["audio/pcmu", "audio/pcma"])
@pytest.mark.parametrize("run_samples", [1, 7, 480, 24_000])
def test_g711_loses_no_sample_however_the_audio_is_cut(wire_format: WireFormat, run_samples: int) -> None:
    deltas = AudioDeltas(Ids())
    samples = 4800
    pcm = tone(samples)
    step = run_samples * 2
    texts = [text for at in range(0, len(pcm), step) for text in deltas.encode(play(pcm[at : at + step], wire_format))]
    encoded = audio(read([*texts, *deltas.finish(finish())]))
    whole = AudioDeltas(Ids())
    assert encoded == audio(read([*whole.encode(play(pcm, wire_format)), *whole.finish(finish())]))
    assert samples // 3 <= len(encoded) <= samples // 3 + 40


def test_g711_has_the_loudness_of_its_pcm(deltas: AudioDeltas) -> None:
    from voice.audio.g711 import ulaw_to_pcm
    from voice.audio.levels import rms_dbfs

    pcm = tone(24_000)
    encoded = audio(read([*deltas.encode(play(pcm, "audio/pcmu")), *deltas.finish(finish())]))
    assert rms_dbfs(ulaw_to_pcm(encoded)) == pytest.approx(rms_dbfs(pcm), abs=0.5)


def test_the_last_samples_keep_the_address_of_their_item(deltas: AudioDeltas) -> None:
    list(deltas.encode(play(tone(480), "audio/pcmu")))
    for event in read(deltas.finish(finish())):
        assert (event["item_id"], event["output_index"], event["content_index"]) == ("item_1", 2, 1)


def test_items_of_parallel_responses_do_not_mix(deltas: AudioDeltas) -> None:
    pcm = tone(2400)
    alone = AudioDeltas(Ids())
    expected = audio(read([*alone.encode(play(pcm, "audio/pcmu")), *alone.finish(finish())]))
    mixed = []
    for at in range(0, len(pcm), 960):
        mixed += read(deltas.encode(play(pcm[at : at + 960], "audio/pcmu", "item_1")))
        read(deltas.encode(play(bytes(960), "audio/pcma", "item_2")))
    assert audio([*mixed, *read(deltas.finish(finish("item_1")))]) == expected


def test_finishing_pcm_or_an_item_without_audio_sends_nothing(deltas: AudioDeltas) -> None:
    list(deltas.encode(play(tone(480))))
    assert list(deltas.finish(finish())) == []
    assert list(deltas.finish(finish("item_9"))) == []


def test_items_that_are_never_finished_do_not_pile_up(deltas: AudioDeltas) -> None:
    for index in range(MAX_STREAMS * 3):
        list(deltas.encode(play(tone(48), "audio/pcmu", f"item_{index}")))
    assert len(deltas._streams) == MAX_STREAMS
