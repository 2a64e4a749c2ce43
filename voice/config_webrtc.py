"""The `webrtc:` section: how browsers and apps reach this machine's media."""

from ipaddress import ip_address
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from voice.config_types import Secret, Section


def _wrong(reason: str) -> PydanticCustomError:
    return PydanticCustomError("config", "{reason}", {"reason": reason})


def _read_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise _wrong(f"'{text}' is no address") from None


def _read_server(text: str) -> str:
    host, colon, port = text.removeprefix("stun:").rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise _wrong(f"'{text}' is not host:port, such as stun.example.com:3478")
    return f"{host}:{port}"


def _read_ports(ports: tuple[int, int]) -> tuple[int, int]:
    if ports[0] > ports[1]:
        raise _wrong(f"the first port, {ports[0]}, is above the last, {ports[1]}")
    return ports


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _read_url(url: str) -> str:
    if not url.startswith(("stun:", "stuns:", "turn:", "turns:")):
        raise _wrong(f"'{url}' begins with none of stun:, stuns:, turn:, turns:")
    return url


AddressText = Annotated[str, AfterValidator(_read_address)]
Port = Annotated[int, Field(ge=1, le=65535)]


class IceServerConfig(Section):
    """A STUN or TURN server that clients are told of, with what they log in to it with."""

    urls: Annotated[
        tuple[Annotated[str, AfterValidator(_read_url)], ...], BeforeValidator(_as_list), Field(min_length=1)
    ]
    """`turn:turn.example.com:3478?transport=udp` and the like."""
    username: str | None = None
    credential: Secret | None = None
    """The same for all clients; better is `secret`."""
    secret: Secret | None = None
    """Shared with the TURN server (coturn's `static-auth-secret`): each client gets credentials that expire."""
    lifetime_s: int = Field(86_400, ge=60)
    """Of the credentials that are made with `secret`."""

    @model_validator(mode="after")
    def _credentials_go_together(self) -> Self:
        if self.secret is not None and self.credential is not None:
            raise _wrong("give either secret or username and credential")
        if self.secret is None and (self.username is None) != (self.credential is None):
            raise _wrong("username and credential belong together")
        return self


class WebRtcConfig(Section):
    """WebRTC: `POST /v1/realtime/calls`. Media comes to UDP ports of this machine, beside the one for HTTP."""

    enabled: bool = True
    public_address: AddressText | None = None
    """What this machine is reached at from outside, where a NAT stands before it and passes `ports` on."""
    addresses: Annotated[tuple[AddressText, ...], BeforeValidator(_as_list)] = ()
    """What to listen on. Empty: every address of this machine."""
    ports: Annotated[tuple[Port, Port], AfterValidator(_read_ports)] | None = None
    """First and last UDP port, one for each call and address; null takes any that is free."""
    stun_server: Annotated[str, AfterValidator(_read_server)] | None = None
    """host:port. Asked for the address that a NAT gives this machine, where `public_address` is not known."""
    ice_servers: tuple[IceServerConfig, ...] = ()
    """Handed to clients: with a client secret, and in `Link` headers of the answer to an offer (RFC 9725 §4.6)."""
    connect_s: float = Field(15.0, gt=0)
    """How long a call waits for its client to come."""
    vanished_s: float = Field(10.0, ge=5)
    """A client of whom nothing was heard for so long is gone, and its session ends."""
