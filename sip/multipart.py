"""Multipart bodies (RFC 2046 §5.1, RFC 5621): carriers wrap SDP together with ISUP or location documents."""

from sip.headers import header_key

MAX_PARTS = 16


def find_part(body: bytes, boundary: str, content_type: str) -> bytes | None:
    """Return the content of the first part of that type (lower case), None when there is none.

    Parts beyond the sixteenth, and parts in a transfer encoding that changes bytes, are not looked at.
    """
    if not boundary or len(boundary) > 70:
        return None
    delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    for part in (b"\r\n" + body).split(delimiter, MAX_PARTS + 1)[1 : MAX_PARTS + 1]:
        if part.startswith(b"--"):
            break
        head, blank, content = part.partition(b"\r\n\r\n")
        headers = _headers(head)
        if not blank or headers.get("content-transfer-encoding", "binary") not in ("binary", "8bit", "7bit"):
            continue
        if headers.get("content-type", "text/plain") == content_type:
            return content
    return None


def _headers(head: bytes) -> dict[str, str]:
    """Return a part's headers, values in lower case without parameters."""
    found: dict[str, str] = {}
    for line in head.decode("utf-8", "surrogateescape").split("\r\n")[1:9]:
        name, _, value = line.partition(":")
        found.setdefault(header_key(name), value.partition(";")[0].strip().lower())
    return found
