"""What the softphone says when a call does not come about."""

import pytest

from sip.call_effects import CallEnded, EndReason
from sip.status import OWN_WORDS
from transports.softphone.call import Dialling, why_not_up


def rejected(status: int, detail: str = "") -> CallEnded:
    return CallEnded(EndReason.REJECTED, status, detail)


@pytest.mark.parametrize(
    ("uri", "end", "has_rung", "words"),
    [
        ("sip:a@127.0.0.1:9", rejected(503, OWN_WORDS[503]), False, "nobody answers at 127.0.0.1:9 over UDP. Is the"),
        ("sips:a@host", rejected(503, OWN_WORDS[503]), False, "nobody answers at host:5061 over TLS. Is the phone"),
        ("sip:[::1]", rejected(503, OWN_WORDS[503]), False, "nobody answers at [::1]:5060 over UDP. Is the phone"),
        ("sip:a@host", rejected(408, OWN_WORDS[408]), False, "nobody answers at host:5060 over UDP: nothing came"),
        ("sip:a@host", None, False, "nobody answers at host:5060 over UDP: nothing came back."),
        ("sip:a@host", None, True, "it rang for 30 s, and nobody took the call"),
        ("sip:a@host", rejected(503), False, "sip:a@host did not take the call: 503 Service Unavailable"),
        ("sip:a@host", rejected(404, "No such desk"), True, "sip:a@host did not take the call: 404 No such desk"),
    ],
)
def test_why_nobody_is_on_the_line_is_said_in_words(
    uri: str, end: CallEnded | None, has_rung: bool, words: str
) -> None:
    assert why_not_up(Dialling(uri), end, has_rung=has_rung).startswith(words)


def test_only_over_tls_a_certificate_is_thought_of() -> None:
    gone = rejected(503, OWN_WORDS[503])
    assert "certificate" in why_not_up(Dialling("sips:a@host"), gone, has_rung=False)
    assert "certificate" not in why_not_up(Dialling("sip:a@host"), gone, has_rung=False)
