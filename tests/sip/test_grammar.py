import contextlib
import time

import pytest

from sip.errors import BuildError, SipSyntaxError
from sip.grammar import (
    format_params,
    is_token,
    parse_number,
    parse_params,
    quote,
    split_outside,
    unescape,
    unquote,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a, b,c", ["a", "b", "c"]),
        ('"a,b" <sip:x@y>, <sip:c,d@e>;q=1', ['"a,b" <sip:x@y>', "<sip:c,d@e>;q=1"]),
        (r'"a\",b", c', [r'"a\",b"', "c"]),
        ("", [""]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_lists_are_cut_outside_quotes_and_brackets(text: str, parts: list[str]) -> None:
    assert split_outside(text) == parts


@pytest.mark.parametrize("text", ['"open, b', "<open, b", '"a\\"'])
def test_what_never_closes_is_a_syntax_error(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        split_outside(text)


def test_params_keep_order_and_lose_case_of_names() -> None:
    params = parse_params(';Tag=aB; lr ;x="1;2,3"; y = z')
    assert params == {"tag": "aB", "lr": None, "x": '"1;2,3"', "y": "z"}
    assert format_params(params) == ';tag=aB;lr;x="1;2,3";y=z'


def test_a_repeated_param_keeps_its_first_value() -> None:
    assert parse_params(";transport=tls;transport=tcp") == {"transport": "tls"}


@pytest.mark.parametrize("text", [";;", ";a;;b", ";=x"])
def test_empty_params_are_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_params(text)


def test_one_trailing_semicolon_is_forgiven() -> None:
    assert parse_params(";a=1;") == {"a": "1"}


def test_quoting_comes_back_as_it_was() -> None:
    text = 'a "b" \\c'
    assert unquote(quote(text)) == text
    with pytest.raises(BuildError):
        quote("a\r\nVia: x")


def test_escapes_are_decoded_once() -> None:
    assert unescape("%2541%zz%") == "%41%zz%"


@pytest.mark.parametrize("text", ["", "-1", "1.0", "٣", "4294967296", "9" * 100_000, " 1"])
def test_numbers_are_plain_and_bounded(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_number(text, 2**32 - 1, "it")


def test_tokens() -> None:
    assert is_token("z9hG4bK-.!%66*_+`'~")
    assert not is_token("a b")
    assert not is_token("")


@pytest.mark.parametrize(
    "hostile", ['"' + '\\"' * 30_000, "<" * 60_000, ('"\\' * 30_000), ";" * 60_000, '"",' * 20_000]
)
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    start = time.perf_counter()
    for read in (split_outside, parse_params):
        with contextlib.suppress(SipSyntaxError):
            read(hostile)
    assert time.perf_counter() - start < 0.5  # quadratic would take minutes
