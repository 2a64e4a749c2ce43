"""What a user agent server checks before it acts on a request (RFC 3261 §8.2), in the order of that section.

The parser has made sure of the syntax that a transaction needs. Here the request is measured against what this
element can do, and the headers that it is about to use are read, so that later code meets no SipSyntaxError.
"""

from dataclasses import dataclass

from sip.errors import SipSyntaxError
from sip.message import Rejection, Request, Response
from sip.parser import refuse


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this element understands; its words stand in Allow, Supported and Accept."""

    methods: tuple[str, ...] = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "INFO")
    extensions: tuple[str, ...] = ("timer",)
    content_types: tuple[str, ...] = (
        "application/sdp",
        "application/dtmf-relay",
        "application/dtmf",
        "multipart/mixed",
        "multipart/alternative",
        "multipart/related",
    )
    schemes: tuple[str, ...] = ("sip", "sips", "tel")


ABILITIES = Abilities()

_KNOWN_METHODS = {
    *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY"),
    *("OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
}


def inspect_request(request: Request, abilities: Abilities = ABILITIES) -> Rejection | None:
    """Return why a request must be refused, None when it may be processed.

    ACK and CANCEL are exempt from Require (§8.2.2.3). Max-Forwards 0 is a proxy's business (RFC 4475 §3.3.11).
    """
    try:
        return _inspect(request, abilities)
    except SipSyntaxError as error:
        return refuse(request, error.status, error.message)


def _inspect(request: Request, abilities: Abilities) -> Rejection | None:
    if request.method not in abilities.methods:
        allow = ("Allow", ", ".join(abilities.methods))
        # 405 is for a method that is known but not served here, 501 for one never heard of (§21.5.2).
        return refuse(request, 405 if request.method in _KNOWN_METHODS else 501, "method is not served", allow)
    scheme = request.uri_text.partition(":")[0].lower()
    if scheme not in abilities.schemes:
        return refuse(request, 416, f"URI scheme {scheme[:20]}")
    for address in (request, request.from_, request.to, *request.contacts):
        address.uri  # type: ignore[attr-defined]  # noqa: B018  # read once, kept; raises if malformed
    request.vias  # noqa: B018
    for route in request.record_routes:  # the way of our own requests, should it be a dialog
        route.uri  # noqa: B018
    if request.method not in ("ACK", "CANCEL"):
        unknown = [tag for tag in request.get_list("require") if tag.lower() not in abilities.extensions]
        if unknown:
            return refuse(request, 420, "extension is not supported", ("Unsupported", ", ".join(unknown)))
    return _inspect_body(request, abilities)


def _inspect_body(request: Request, abilities: Abilities) -> Rejection | None:
    """Check type and encoding of a body (§8.2.3); one that may be ignored is no reason to refuse."""
    if request.method in ("ACK", "BYE", "CANCEL"):
        return None
    kind = request.content_type  # read before any return: later code relies on it
    if not request.body:
        return None
    handling = (request.get("content-disposition") or "").lower()
    if "handling=optional" in handling.replace(" ", ""):
        return None
    accept = ("Accept", ", ".join(abilities.content_types))
    # sdp is assumed where the type is missing: RFC 2543 peers and broken PBXs mean it.
    if kind is not None and kind.value.lower() not in abilities.content_types:
        return refuse(request, 415, f"content type {kind.value[:40]}", accept)
    encoding = (request.get("content-encoding") or "identity").lower()
    if encoding not in ("identity", ""):
        return refuse(request, 415, f"content encoding {encoding[:20]}", ("Accept-Encoding", "identity"))
    return None


def inspect_response(response: Response) -> str | None:
    """Return why a response must be dropped, None when it may be used.

    A user agent sends one Via, so a response with two was meant for somebody else (RFC 3261 §8.1.3.3).
    """
    try:
        if len(response.vias) != 1:
            return "response has more than one Via"
    except SipSyntaxError as error:
        return error.message
    return None
