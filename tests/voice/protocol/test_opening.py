"""What a session begins with when a client secret and its call both say something about it."""

from typing import Any

import pytest

from voice.errors import ContractError
from voice.protocol.opening import combine, decode_opening
from voice.protocol.session_config import SessionUpdateBody


def body(**fields: Any) -> SessionUpdateBody:
    return SessionUpdateBody.model_validate({"type": "realtime", **fields})


def heard(**turn_detection: Any) -> dict[str, Any]:
    return {"input": {"turn_detection": turn_detection}}


def said(opening: SessionUpdateBody | None) -> Any:
    assert opening is not None
    return opening.model_dump(exclude_unset=True)


def test_what_one_of_the_two_says_alone_stands() -> None:
    only = body(instructions="Be brief.")
    assert combine(only, None) is only
    assert combine(None, only) is only
    assert combine(None, None) is None


def test_the_second_goes_over_the_first_where_both_speak() -> None:
    first = body(instructions="Be brief.", model="a", audio=heard(type="server_vad", threshold=0.7))
    second = body(model="b", audio=heard(type="server_vad", silence_duration_ms=400))
    assert said(combine(first, second)) == {
        "type": "realtime",
        "instructions": "Be brief.",
        "model": "b",
        "audio": heard(type="server_vad", threshold=0.7, silence_duration_ms=400),
    }


def test_another_kind_of_turn_detection_takes_nothing_from_the_one_before() -> None:
    first = body(audio=heard(type="server_vad", threshold=0.7))
    second = body(audio=heard(type="semantic_vad", eagerness="low"))
    assert said(combine(first, second))["audio"] == heard(type="semantic_vad", eagerness="low")


def test_a_null_switches_off_what_the_secret_had() -> None:
    first = body(audio=heard(type="server_vad"), instructions="Be brief.")
    second = body(audio={"input": {"turn_detection": None}})
    assert said(combine(first, second))["audio"] == {"input": {"turn_detection": None}}


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("{", "invalid_json", "session"),
        ("[" * 100_000, "invalid_json", "session"),
        (b"\xff", "invalid_json", "session"),
        ("[]", "invalid_type", "session"),
        ("{}", "missing_required_parameter", "session.type"),
        ('{"type":"realtime","voice":"alloy"}', "unknown_parameter", "session.voice"),
    ],
)
def test_what_is_wrong_with_a_session_part_is_named_by_its_path(text: str | bytes, code: str, param: str) -> None:
    with pytest.raises(ContractError) as refused:
        decode_opening(text)
    assert (refused.value.code, refused.value.param) == (code, param)
