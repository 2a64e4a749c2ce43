"""The phone line as the configuration wants it: a SIP endpoint with its trunks and its certificate, and who answers."""

import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

from sip.admission import CallLimits
from sip.call import Application, IncomingCall
from sip.codecs import G722, OPUS, PCMA, PCMU
from sip.crypto import Srtp
from sip.endpoint import EndpointSettings, SipEndpoint
from sip.gate import GateLimits
from sip.trunk import Trunk
from sip.user_agent import AgentSettings
from sip.watch import Watch
from transports.http.tls import Certificate
from transports.phone import PhoneSettings, Route
from transports.sip_call import KeySettings
from voice.config_sip import SipConfig, TrunkConfig
from voice.config_types import TlsConfig
from voice.serving import ListenError, explain

CODECS = {"pcmu": PCMU, "pcma": PCMA, "g722": G722, "opus": OPUS}
"""By the names that the configuration has for them."""


def phone_line(config: SipConfig, application: "PhoneCalls") -> SipEndpoint:
    """Return the endpoint; it listens while it is entered (OSError), and its calls come to `application`.

    Raises: OSError, ssl.SSLError for a certificate that cannot be used.
    """
    settings, trunks = endpoint_settings(config), trunks_of(config)
    probes = {name: trunk.probe for name, trunk in config.trunks.items() if trunk.probe is not None}
    watch = Watch(probes, application.trunk_changed)
    if config.tls is None:
        return SipEndpoint(settings, trunks, application, watch=watch)
    contexts = TlsContexts(config.tls, config.tls_callers)
    return SipEndpoint(
        settings,
        trunks,
        application,
        tls=contexts.serving,
        tls_client=contexts.calling,
        look=contexts.look,
        watch=watch,
    )


class TlsContexts:
    """TLS for connections of both directions: either side may be asked for its certificate."""

    def __init__(self, files: TlsConfig, callers: Path | None = None) -> None:
        """Of callers a certificate by `callers` (PEM) is wanted, where that is given. Raises: OSError, ssl.SSLError."""
        self._files = files
        self._certificate = Certificate(files.certificate, files.key, protocols=())
        self.serving = self._certificate.context
        self.calling = ssl.create_default_context()
        self.calling.load_cert_chain(files.certificate, files.key)
        if callers is not None:
            self.serving.load_verify_locations(callers)
            self.serving.verify_mode = ssl.CERT_REQUIRED
            self.calling.load_verify_locations(callers)

    def look(self) -> None:
        """Take renewed files, for both directions."""
        if self._certificate.reload_if_changed():
            self.calling.load_cert_chain(self._files.certificate, self._files.key)


class PhoneCalls(Application, Protocol):
    """What takes the calls of a phone line, and holds them."""

    def trunk_changed(self, name: str, is_up: bool, status: int) -> None:
        """Note that a trunk is there, or is not, and the status that showed it."""

    async def start(self) -> None:
        """Be ready for calls."""

    async def aclose(self) -> None:
        """End the calls that draining has left over, and what holds them."""


class PhoneLine:
    """The phone line of a service, as `voice.serving` opens, drains and closes it."""

    def __init__(self, config: SipConfig, calls: PhoneCalls) -> None:
        """Raises: ListenError for a certificate that cannot be used."""
        self._config = config
        self._calls = calls
        try:
            self._endpoint = phone_line(config, calls)
        except OSError as error:  # ssl.SSLError is one
            raise ListenError(f"sip.tls: no certificate and its key in PEM: {error}") from error
        self._is_open = False

    @property
    def listening(self) -> dict[str, tuple[str, int]]:
        """The addresses that were bound, by transport: UDP, TCP, TLS."""
        return self._endpoint.listening

    async def open(self) -> None:
        """Listen. Raises: ListenError."""
        await self._calls.start()
        try:
            await self._endpoint.__aenter__()
        except OSError as error:
            await self._calls.aclose()
            port = self._config.tls_port if error.filename == "TLS" else self._config.port
            key = "sip.tls_port: " if error.filename == "TLS" else "sip.port: "
            reason = explain(error, self._config.host, port, set_host="sip.host: ", set_port=key)
            raise ListenError(f"sip: {reason}") from error
        self._is_open = True

    def drain(self) -> None:
        """Refuse new calls with 503; those that are up go on."""
        self._endpoint.drain()

    async def aclose(self) -> None:
        """End what is left with BYE, and listen no more. Safe without `open`."""
        if self._is_open:
            self._is_open = False
            await self._calls.aclose()
            await self._endpoint.__aexit__(None, None, None)


def route_of(config: SipConfig) -> Route:
    """Return who answers which call."""

    def route(call: IncomingCall) -> str | None:
        return config.agent_for(call.arrival.trunk.name, call.called, call.caller, call.headers)

    return route


def phone_settings(config: SipConfig) -> PhoneSettings:
    """Return what the phone is told about audio and keys."""
    return PhoneSettings(
        host="127.0.0.1" if config.host == "localhost" else config.host,
        first_port=config.rtp.first,
        last_port=config.rtp.last,
        media_timeout_s=config.rtp.timeout_s,
        first_media_timeout_s=config.rtp.first_timeout_s,
        hears_tones=config.keys.inband,
        keys=KeySettings(config.keys.to_agent, config.keys.pause_s, config.keys.send),
    )


def endpoint_settings(config: SipConfig) -> EndpointSettings:
    """Return what the endpoint is told."""
    limits = config.limits
    calls = CallLimits(max_calls=limits.max_calls, calls_per_s=limits.calls_per_s)
    return EndpointSettings(
        host=config.host,
        port=config.port,
        tls_port=config.tls_port,
        agent=AgentSettings(
            public_address=config.public_address,
            realm=config.realm,
            algorithms=tuple(name.upper() for name in config.digest),
            limits=calls,
            scanners=config.limits.scanners,
        ),
        gate=GateLimits(limits.messages_per_s, limits.ban_after, limits.ban_s),
    )


def trunks_of(config: SipConfig) -> tuple[Trunk, ...]:
    """Return the trunks as the endpoint knows them."""
    return tuple(_trunk(name, trunk) for name, trunk in config.trunks.items())


def _trunk(name: str, config: TrunkConfig) -> Trunk:
    return Trunk(
        name=name,
        networks=tuple(ip_network(address) for address in config.addresses),
        passwords={user: secret.get_secret_value() for user, secret in config.credentials.items()},
        codecs=tuple(CODECS[codec] for codec in config.codecs),
        srtp=Srtp(config.srtp),
        transports=frozenset(transport.upper() for transport in config.transports),
        public_address=config.public_address,
        max_calls=config.max_calls,
        calls_per_s=config.calls_per_s,
    )
