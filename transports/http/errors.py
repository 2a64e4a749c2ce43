"""The errors of the HTTP surface; `middleware.py` alone turns them into answers.

ApiError(status, code)     a request is refused, with the body of contract 1.0
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A request is refused. SDKs raise by `status` and retry 408, 409, 429 and from 500 (contract 1.0)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None,
        param: str | None = None,
        type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`type` is `server_error` from 500 and `invalid_request_error` below, where not given."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.type = type or ("server_error" if status >= 500 else "invalid_request_error")
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}
