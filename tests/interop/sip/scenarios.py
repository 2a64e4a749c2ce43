"""Scenarios for sipp, written in Python: each is the steps of one call of a caller.

scenario(invite(), recv(180, optional=True), recv(200, rrs=True), ack(), pause(200), bye(), recv(200))
"""

from xml.sax.saxutils import escape

SDP = """v=0
o=- {version} {version} IN IP[media_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio {port} RTP/AVP 0 101
a=rtpmap:101 telephone-event/8000
a={direction}
"""

_HEAD = """{method} {uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]{rport}
Max-Forwards: 70
From: "Caller" <sip:caller@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to_tag}
Call-ID: [call_id]
CSeq: {cseq} {method}
{more}{routes}Content-Length: [len]
"""
_CONTACT = "Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>\n"


def sdp(*, port: str = "[media_port]", direction: str = "sendrecv", version: int = 1) -> str:
    """Return a description."""
    return SDP.format(port=port, direction=direction, version=version)


def send(
    method: str,
    *,
    cseq: int = 1,
    in_dialog: bool = False,
    body: str = "",
    kind: str = "application/sdp",
    more: str = "",
    retrans: int | None = None,
    rport: bool = True,
) -> str:
    """Return a step that sends a request."""
    if method in ("INVITE", "UPDATE"):
        more = _CONTACT + more
    text = _HEAD.format(
        method=method,
        uri="[next_url]" if in_dialog else "sip:[service]@[remote_ip]:[remote_port]",
        rport=";rport" if rport else "",
        to_tag="[peer_tag_param]" if in_dialog else "",
        cseq=cseq,
        more=more + (f"Content-Type: {kind}\n" if body else ""),
        routes="[routes]\n" if in_dialog else "",
    )
    again = f' retrans="{retrans}"' if retrans else ""
    return f"<send{again}><![CDATA[\n\n{text}\n{body}\n]]></send>"


def invite(**named: object) -> str:
    """Return an INVITE with an offer."""
    return send("INVITE", **({"body": sdp(), "retrans": 500} | named))  # type: ignore[arg-type]  # passed on as given


def ack(cseq: int = 1, body: str = "") -> str:
    """Return the ACK of a 2xx."""
    return send("ACK", cseq=cseq, in_dialog=True, body=body)


def refused_ack(cseq: int = 1) -> str:
    """Return the ACK of a refusal: of the same hop and branch as its INVITE."""
    text = _HEAD.format(
        method="ACK",
        uri="sip:[service]@[remote_ip]:[remote_port]",
        rport=";rport",
        to_tag="[peer_tag_param]",
        cseq=cseq,
        more="",
        routes="",
    )
    return f"<send><![CDATA[\n\n{text}\n]]></send>".replace("[branch]", "[branch-{n}]")


def bye(cseq: int = 2) -> str:
    """Return a BYE."""
    return send("BYE", cseq=cseq, in_dialog=True, retrans=500)


def cancel() -> str:
    """Return the CANCEL of the INVITE two steps before."""
    return send("CANCEL").replace("[branch]", "[branch-{n}]")


def recv(what: int | str, *, optional: bool = False, rrs: bool = False, auth: bool = False, body: str = "") -> str:
    """Return a step that waits for a status or a request; `body` is a pattern that must be in it."""
    kind = "response" if isinstance(what, int) else "request"
    options = "".join(f' {name}="true"' for name, on in (("optional", optional), ("rrs", rrs), ("auth", auth)) if on)
    if not body:
        return f'<recv {kind}="{what}"{options} timeout="6000"/>'
    check = f'<ereg regexp="{escape(body)}" search_in="msg" check_it="true" assign_to="seen"/>'
    return f'<recv {kind}="{what}"{options} timeout="6000"><action>{check}</action></recv>'


def ok(method: str = "BYE", body: str = "") -> str:
    """Return the 200 to a request that has just come."""
    lines = "".join(f"[last_{name}:]\n" for name in ("Via", "From", "To", "Call-ID", "CSeq"))
    lines += _CONTACT if method in ("INVITE", "UPDATE") else ""
    lines += "Content-Type: application/sdp\n" if body else ""
    return f"<send><![CDATA[\n\nSIP/2.0 200 OK\n{lines}Content-Length: [len]\n\n{body}\n]]></send>"


def pause(milliseconds: int) -> str:
    """Return a step that lets time pass."""
    return f'<pause milliseconds="{milliseconds}"/>'


def scenario(*steps: str) -> str:
    """Return the whole; `[branch-{n}]` becomes the branch of the INVITE so many steps before."""
    written = []
    at = 0
    for index, step in enumerate(steps):
        if "INVITE [next_url]" in step or "INVITE sip:" in step:
            at = index
        written.append(step.replace("[branch-{n}]", f"[branch-{index - at}]"))
    reference = '<Reference variables="seen"/>' if "assign_to" in "".join(steps) else ""
    head = '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="caller">\n'
    return head + "\n".join(written) + f"\n{reference}</scenario>\n"


HANGS_UP = (bye(), recv(200))
ANSWERED = (recv(100, optional=True), recv(180, optional=True), recv(200, rrs=True), ack())
CALL = scenario(invite(), *ANSWERED, pause(100), *HANGS_UP)
