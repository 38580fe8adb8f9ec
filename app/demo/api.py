"""The few HTTP requests that the demo makes, with the standard library, as a customer without ours would."""

import asyncio
import json
from base64 import b64encode
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any  # parsed JSON, or the text that could not be parsed
    retry_after: float  # seconds, 0 when not asked for

    @property
    def problem(self) -> str:
        """What an error answer says, for people."""
        if isinstance(self.body, dict):
            return str(self.body.get("detail") or self.body.get("title") or self.body)
        return str(self.body)


class Api:
    """`credentials` are as in the account file: ``AC…:token``."""

    def __init__(self, host: str, port: int, *, credentials: str) -> None:
        self._host = host
        self._port = port
        self._authorization = "Basic " + b64encode(credentials.encode()).decode()

    async def get(self, path: str) -> Answer:
        """Raises OSError when nothing answers."""
        return await asyncio.to_thread(self._request, "GET", path, None)

    async def post_rcml(self, path: str, rcml: str) -> Answer:
        return await asyncio.to_thread(self._request, "POST", path, rcml.encode())

    def _request(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/xml"
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
            return Answer(response.status, _parsed(text), _seconds(response.getheader("Retry-After")))
        finally:
            connection.close()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _seconds(value: str | None) -> float:
    return float(value) if value and value.isdigit() else 0.0
