"""The `sip:` section: where the phone rings, whose calls are taken, who answers them."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from voice.config_types import ExistingFile, Secret, Section, TlsConfig

CodecName = Literal["pcmu", "pcma", "g722", "opus"]


SCANNERS = ("friendly-scanner", "sipvicious", "sundayddr", "sipcli", "sip-scan", "sipsak", "pplsip", "vaxsipuseragent")
"""What the common scanners call themselves."""


def _read_network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        message = f"'{text}' is no address and no network such as 203.0.113.0/24 (names are not looked up)"
        raise PydanticCustomError("config", "{reason}", {"reason": message}) from None


def _read_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise PydanticCustomError("config", "{reason}", {"reason": f"'{text}' is no address"}) from None


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _read_uri(text: str) -> str:
    if re.fullmatch(r"sips?:[^\s<>]+", text) is None:
        message = f"'{text}' is no address such as sip:sip.carrier.example or sip:192.0.2.1:5060;transport=tcp"
        raise PydanticCustomError("config", "{reason}", {"reason": message})
    return text


SipUri = Annotated[str, AfterValidator(_read_uri)]
NetworkText = Annotated[str, AfterValidator(_read_network)]
AddressText = Annotated[str, AfterValidator(_read_address)]


class TrunkConfig(Section):
    """A carrier, a PBX or a group of phones: whose calls they are, what they are like, who answers them."""

    addresses: Annotated[tuple[NetworkText, ...], BeforeValidator(_as_list)] = ()
    """Where its calls come from: addresses and networks. Empty: anywhere, and then with `credentials` only."""
    credentials: dict[str, Secret] = Field(default_factory=dict)
    """User names and passwords, asked for by digest. Empty: the address is enough."""
    codecs: tuple[CodecName, ...] = ("pcmu", "pcma", "g722", "opus")
    """What its calls may use, in this order of preference."""
    srtp: Literal["off", "optional", "required"] = "off"
    """Encrypted audio, keys by SDES: put `transports: [tls]` beside it, or the keys travel in the clear."""
    transports: tuple[Literal["udp", "tcp", "tls"], ...] = ("udp", "tcp", "tls")
    public_address: AddressText | None = None
    """What this trunk reaches us at, where that is another address than `sip.public_address`."""
    agent: str | None = None
    """Who answers what no route names."""
    routes: dict[str, str] = Field(default_factory=dict)
    """Dialled number → agent. `"+1555*"` is every number that begins so; the longest one wins."""
    callers: dict[str, str] = Field(default_factory=dict)
    """Caller's number → agent, in the same way; goes before `routes`."""
    headers: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Header of the INVITE → its value → agent, as in `X-Department: {sales: seller}`; goes before `callers`."""
    probe: SipUri | None = None
    """Asked by OPTIONS now and then whether it is there, as in `sip:sip.carrier.example`: for log and metrics."""
    max_calls: int | None = Field(None, ge=1)
    """At a time; one more gets 503. null: as many as `sip.limits.max_calls`."""
    calls_per_s: float | None = Field(None, gt=0)


class SipLimits(Section):
    """What callers may do, all in all and each of them."""

    max_calls: int = Field(200, ge=1)
    """At a time over all trunks; one more gets 503."""
    calls_per_s: float = Field(50.0, gt=0)
    """New ones over all trunks, averaged over a second."""
    messages_per_s: float = Field(300.0, gt=0)
    """Of one address and port; what goes beyond is dropped unread."""
    ban_after: int = Field(10, ge=1)
    """Wrong passwords or junk from an address that no trunk names; then it is not heard for `ban_s`."""
    ban_s: float = Field(600.0, gt=0)
    scanners: tuple[str, ...] = SCANNERS
    """Parts of a User-Agent that ban a source at once, unless a trunk names its address."""


class RtpPorts(Section):
    """The UDP ports that audio comes to: two for each call. Let them through the firewall."""

    first: int = Field(20_000, ge=1024, le=65_534)
    last: int = Field(21_999, ge=1025, le=65_535)
    timeout_s: float = Field(30.0, gt=0)
    """A caller of whom nothing is heard for so long is gone; not while on hold or suppressing silence."""
    first_timeout_s: float = Field(20.0, gt=0)
    """The same for a caller of whom nothing has been heard at all."""


class KeysConfig(Section):
    """Telephone keys. Of those that callers press a session's watchers are told; RTP events and INFO always count."""

    inband: bool = False
    """Find them in the audio itself, too, for lines that send them no other way."""
    to_agent: bool = False
    """Hand them to the agent as a user's message, and let it answer."""
    pause_s: float = Field(2.0, gt=0)
    """A line of keys is complete after so long without one, or with `#`."""
    send: tuple[Literal["rtp", "info", "inband"], ...] = ("rtp", "info", "inband")
    """How keys of ours are pressed (`tools.telephony:press_keys`): by the first of these that the other side takes."""


class SipConfig(Section):
    """The phone line. On a loopback address calls of this machine need no trunk."""

    enabled: bool = False
    host: str = "127.0.0.1"
    """Any but a loopback address needs `trunks`. 0.0.0.0: every address of this machine."""
    port: int = Field(5060, ge=0, le=65535)
    """UDP and TCP. 0 takes any free port."""
    tls: TlsConfig | None = None
    """A certificate makes the service speak SIP over TLS, too. Renewed files are taken without a restart."""
    tls_port: int = Field(5061, ge=0, le=65535)
    tls_callers: ExistingFile | None = None
    """Who calls over TLS must show a certificate of this authority (PEM). null: it is the trunk that decides."""
    public_address: AddressText | None = None
    """What callers out there reach us at, behind a 1:1 NAT; callers of our own network get the real address."""
    realm: str = Field("voice", min_length=1)
    """Shown to callers who are asked for a password; a stored password belongs to it."""
    digest: tuple[Literal["md5", "sha-256"], ...] = ("md5", "sha-256")
    """How passwords are asked for. Many phones take the first way and give up when they do not know it."""
    agent: str | None = None
    """Who answers where neither trunk nor route says; null: `default_agent`."""
    trunks: dict[str, TrunkConfig] = Field(default_factory=dict)
    limits: SipLimits = SipLimits()
    rtp: RtpPorts = RtpPorts()
    keys: KeysConfig = KeysConfig()

    @property
    def is_loopback(self) -> bool:
        """True when only this machine reaches the phone line."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def agent_for(
        self, trunk: str, called: str, caller: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> str | None:
        """Return the agent for a call over a trunk, "" for the default one, None for a wrong number.

        A trunk that has routes and no agent of its own answers only what its routes name.
        """
        config = self.trunks.get(trunk)
        if config is None:  # a call of this machine
            return self.agent or ""
        agent = _by_header(config.headers, headers) or _by_number(config.callers, caller)
        agent = agent or _by_number(config.routes, called)
        if agent is not None:
            return agent
        if config.agent is not None:
            return config.agent
        return None if config.routes else self.agent or ""


def _by_number(routes: Mapping[str, str], number: str) -> str | None:
    if number in routes:
        return routes[number]
    prefixes = [key for key in routes if key.endswith("*") and number.startswith(key[:-1])]
    return routes[max(prefixes, key=len)] if prefixes else None


def _by_header(routes: Mapping[str, Mapping[str, str]], headers: Iterable[tuple[str, str]]) -> str | None:
    if not routes:
        return None
    wanted = {name.lower(): values for name, values in routes.items()}
    found = (wanted.get(name.lower(), {}).get(value.strip()) for name, value in headers)
    return next((agent for agent in found if agent is not None), None)


def check_callers(sip: SipConfig, agents: Container[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the place and the sentence of each agent that is to answer and is not there."""
    if sip.agent is not None and sip.agent not in agents:
        yield ("sip", "agent"), f"there is no agent '{sip.agent}'"
    for name, trunk in sip.trunks.items():
        for place, agent in _answering(trunk):
            if agent not in agents:
                yield ("sip", "trunks", name, *place), f"there is no agent '{agent}'"


def _answering(trunk: TrunkConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    if trunk.agent is not None:
        yield ("agent",), trunk.agent
    for key, routes in (("routes", trunk.routes), ("callers", trunk.callers)):
        yield from (((key, number), agent) for number, agent in routes.items())
    for header, values in trunk.headers.items():
        yield from ((("headers", header, value), agent) for value, agent in values.items())


def check_sip(sip: SipConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the place and the sentence of everything that no single field can see."""
    if sip.enabled and not sip.is_loopback and not sip.trunks:
        message = f"{sip.host} is open to others: name whose calls are taken under sip.trunks, or use 127.0.0.1"
        yield ("sip", "host"), message
    if sip.rtp.last - sip.rtp.first - sip.rtp.first % 2 < 1:
        yield ("sip", "rtp", "last"), f"there is no pair of ports from {sip.rtp.first} to {sip.rtp.last}"
    if sip.tls_callers is not None and sip.tls is None:
        yield ("sip", "tls_callers"), "calls over TLS need a certificate of ours, too: set sip.tls"
    if sip.tls is not None and sip.port == sip.tls_port != 0:
        yield ("sip", "tls_port"), f"TCP has port {sip.port} already"
    if not sip.digest:
        yield ("sip", "digest"), "digest cannot be empty"
    if not sip.keys.send:
        yield ("sip", "keys", "send"), "send cannot be empty"
    for name, trunk in sip.trunks.items():
        for place, message in _check_trunk(name, trunk, has_tls=sip.tls is not None):
            yield ("sip", "trunks", name, *place), message


def _check_trunk(name: str, trunk: TrunkConfig, *, has_tls: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    if not trunk.addresses and not trunk.credentials:
        yield (), f"anybody could call by '{name}': give it addresses, credentials, or both"
    for key in ("codecs", "transports"):
        if not getattr(trunk, key):
            yield (key,), f"{key} cannot be empty"
    if trunk.transports == ("tls",) and not has_tls:
        yield ("transports",), "calls over TLS need a certificate: set sip.tls"
