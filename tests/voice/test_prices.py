"""What a session costs, to the cent."""

from decimal import Decimal
from pathlib import Path

import pytest

from voice.engines.port import TokenUsage
from voice.prices import CostBook, CostMeter, PriceList

SHIPPED = PriceList.read()


def test_every_name_of_the_shipped_list_has_a_price() -> None:
    assert "gpt-realtime" in list(SHIPPED)
    for name in SHIPPED:
        price = SHIPPED.find(name)
        assert price is not None
        assert price.model_dump(exclude_defaults=True)


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("gpt-realtime-2025-08-28", "gpt-realtime"),
        ("gpt-realtime-2.1-mini", "gpt-realtime-2.1-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
    ],
)
def test_a_dated_name_goes_by_its_longest_beginning(model: str, listed: str) -> None:
    assert SHIPPED.find(model) is SHIPPED.find(listed)


def test_a_name_that_only_looks_alike_has_no_price() -> None:
    assert SHIPPED.find("gpt-realtimeX") is None
    assert SHIPPED.find("llama3") is None


def test_a_five_minute_call_costs_what_the_hand_says() -> None:
    """Ten turns: each sends 800 tokens of words, of which 600 were cached, and all the speech so far again."""
    meter = CostMeter(SHIPPED)
    heard = cached = 0
    for _ in range(10):
        heard += 100  # 10 s of the caller
        usage = TokenUsage(
            input_text=800,
            cached_text=600,
            input_audio=heard,
            cached_audio=cached,
            output_text=60,
            output_audio=400,  # 20 s of the agent
        )
        meter.add_tokens("gpt-realtime", usage)
        heard += 400
        cached = heard
    # words in: 10 * 200 * 4 $/M = 0.008; cached: 10 * 600 * 0.40 = 0.0024; out: 10 * 60 * 16 = 0.0096
    # speech in: 10 * 100 * 32 = 0.032; cached: (500 + 1000 + … + 4500) = 22,500 * 0.40 = 0.009; out: 4000 * 64 = 0.256
    assert meter.total == Decimal("0.317")
    assert meter.summary() == {"cost_usd": 0.317}


def test_pictures_that_were_cached_cost_less() -> None:
    meter = CostMeter(SHIPPED)
    meter.add_tokens("gpt-realtime", TokenUsage(input_image=1000, cached_image=400))
    assert meter.total == Decimal("0.0032")  # 600 * 5 $/M + 400 * 0.50 $/M


def test_a_cascade_costs_what_its_three_parts_cost() -> None:
    meter = CostMeter(SHIPPED)
    for _ in range(10):
        meter.add_listening("whisper-1", 10.0)
        meter.add_tokens("gpt-4o-mini", TokenUsage(input_text=1000, cached_text=500, output_text=60))
        meter.add_speaking("tts-1", 240, 15.0)
    # 100 s at 0.006 $/min = 0.01; 10 * (500 * 0.15 + 500 * 0.075 + 60 * 0.60) / 1M = 0.001485; 2400 * 15 / 1M = 0.036
    assert meter.by_model["whisper-1"] == Decimal("0.01")
    assert meter.by_model["gpt-4o-mini"] == Decimal("0.001485")
    assert meter.by_model["tts-1"] == Decimal("0.036")
    assert meter.total == Decimal("0.047485")


def test_speech_by_the_minute_and_by_the_letter() -> None:
    meter = CostMeter(SHIPPED)
    meter.add_speaking("gpt-4o-mini-tts", 5000, 60.0)
    assert meter.total == Decimal("0.015")


def test_a_model_without_a_price_is_named() -> None:
    meter = CostMeter(SHIPPED)
    meter.add_tokens("llama3", TokenUsage(input_text=1000))
    assert meter.summary() == {"cost_usd": 0.0, "unpriced": ["llama3"]}
    assert CostMeter(SHIPPED).summary() == {}


def test_a_list_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("llama3: {text: {in: 0.1, out: 0.3}}\n", encoding="utf-8")
    meter = CostMeter(PriceList.read(path))
    meter.add_tokens("llama3", TokenUsage(input_text=1_000_000, cached_text=1_000_000, output_text=1_000_000))
    assert meter.total == Decimal("0.4")  # without a price of their own, cached tokens cost what others do


@pytest.mark.parametrize("text", ["llama3: {text: {in: -1}}", "llama3: {words: 1}", "llama3: [", "- 1"])
def test_what_is_no_price_list_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"Input|parsing|extra|mapping|dict"):
        PriceList.read(path)


def test_a_session_that_is_over_is_not_counted_any_more() -> None:
    book = CostBook(SHIPPED)
    meter = book.open("sess_1")
    assert book.meter("sess_1") is meter
    book.close("sess_1")
    assert book.meter("sess_1") is not meter
