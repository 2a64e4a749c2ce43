"""The way to MCP servers: an HTTP transport that goes only where it may, and takes only as much as it can use.

The URL comes from a client of the service, so it may be an attempt to reach what only this machine can reach. Every
address that a host name leads to is looked at, and the connection goes to the very address that was looked at: a name
that leads elsewhere a moment later gains nothing.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import httpx2
from pydantic_core import from_json

from tools.json_values import ValueCounter

MAX_VALUES = 20_000
"""Of JSON, in one answer. The `mcp` package checks each, 10 µs and more, while every call of the process waits: 4 MB of
nothing but numbers took 16 s. A hundred tools with two hundred values of schema each fit.
"""

_REFUSAL_BYTES = 64 * 1024
"""How much of a refusal's body is looked at."""

_TLS = httpx2.create_ssl_context()
"""Made once, as the service starts: reading the certificates takes 17 to 40 ms, in which no audio would flow."""


class AddressRefused(httpx2.ConnectError):
    """The host leads to an address inside the network, and the operator has not allowed that."""


class BodyTooLarge(httpx2.StreamError):
    """An answer holds more than anybody would read. The `mcp` package turns it into the failure of one request."""


@dataclass(slots=True)
class Exchange:
    """What happened on the way, while a piece of work was done."""

    refused: int | None = None
    """Status of an HTTP answer that was a refusal, and no JSON-RPC error in the guise of one."""
    address_refused: bool = False


_exchange: ContextVar[Exchange | None] = ContextVar("mcp_exchange", default=None)


@contextlib.contextmanager
def noting() -> Iterator[Exchange]:
    """Note what happens to the requests that are made inside, also by tasks that the `mcp` package starts for them.

    It reports every refusal as the same JSON-RPC error; a client of ours is told the status (contract 3.9).
    """
    exchange = Exchange()
    token = _exchange.set(exchange)
    try:
        yield exchange
    finally:
        _exchange.reset(token)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Wraps httpx2's own transport."""

    def __init__(self, *, private_addresses: bool, max_body_bytes: int) -> None:
        """`private_addresses` allows what is not reachable from the internet: this machine and its network."""
        self._inner = httpx2.AsyncHTTPTransport(verify=_TLS, trust_env=False)
        self._private_addresses = private_addresses
        self._max_body_bytes = max_body_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send. Raises: httpx2.TransportError, AddressRefused among them."""
        response = await self._inner.handle_async_request(await self._pinned(request))
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, self._max_body_bytes)
        if response.status_code >= 400:
            await self._note_refusal(response)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()

    async def _pinned(self, request: httpx2.Request) -> httpx2.Request:
        """Return the request, addressed to an IP address that was looked at; the certificate is still the host's."""
        if self._private_addresses:
            return request
        host = request.url.host
        address = await _public_address(host, request.url.port or 443)
        extensions = {**request.extensions, "sni_hostname": host}
        url = request.url.copy_with(host=address)
        # `Host` is among the headers already.
        return httpx2.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=extensions
        )

    async def _note_refusal(self, response: httpx2.Response) -> None:
        """Tell a refusal on the way from an error of the server's, which may come with the same status."""
        exchange = _exchange.get()
        if exchange is None:
            return
        with contextlib.suppress(httpx2.HTTPError, httpx2.StreamError, ValueError):
            if int(response.headers.get("content-length", "0")) <= _REFUSAL_BYTES:
                body = from_json(await response.aread())
                if isinstance(body, dict) and "jsonrpc" in body:
                    return
        exchange.refused = response.status_code


async def _public_address(host: str, port: int) -> str:
    """Return an address of a host, all of whose addresses are public. Raises: httpx2.ConnectError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx2.ConnectError(f"the host name cannot be resolved ({error.strerror or error})") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses or not all(_is_public(address) for address in addresses):
        exchange = _exchange.get()
        if exchange is not None:
            exchange.address_refused = True
        raise AddressRefused("the host has an address that is not public")
    # IPv4 first: a machine without IPv6 resolves its addresses all the same.
    return str(min(addresses, key=lambda address: address.version))


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return inner.is_global
    return address.is_global and not address.is_multicast


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends in `BodyTooLarge` instead of going on for ever."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit_bytes: int) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken, counter = 0, ValueCounter()
        async for chunk in self._stream:
            taken += len(chunk)
            if taken > self._limit_bytes:
                raise BodyTooLarge(f"the answer is longer than {self._limit_bytes} bytes")
            counter.feed(chunk)
            if counter.values > MAX_VALUES:
                raise BodyTooLarge(f"the answer holds more than {MAX_VALUES} values")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
