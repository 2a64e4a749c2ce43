"""Reads a request's body up to a bound of the route's own."""

from aiohttp import web

from transports.http.errors import ApiError


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Return the body. Raises: ApiError 413 as soon as it is longer."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > limit_bytes:
            raise ApiError(413, f"The body is larger than {limit_bytes} bytes.", code="request_too_large")
    return bytes(body)
