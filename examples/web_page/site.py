"""The site around the page: serves a folder, and gets each visitor a client secret with a key that only it knows.

    python -m examples.web_page.site [FOLDER]

| variable    | what                                     | default |
|---|---|---|
| VOICE_URL   | the service, as browsers reach it        | http://127.0.0.1:8080 |
| VOICE_KEY   | a key of the service                     | none, as a service on this machine needs none |
| VOICE_MODEL | who answers                              | the service's own default |
| PORT        | where this site listens, on this machine | 9000 |
"""

import os
import sys
from pathlib import Path

from aiohttp import ClientSession, web

URL = os.environ.get("VOICE_URL", "http://127.0.0.1:8080")
FOLDER = Path(__file__).parent


async def secret(_: web.Request) -> web.Response:
    """Make the secret of one visitor: a minute to open one call, with the agent that this site chose."""
    # A real site asks here who its visitor is, and how often he has called.
    session = {"type": "realtime"} | ({"model": os.environ["VOICE_MODEL"]} if "VOICE_MODEL" in os.environ else {})
    body = {"session": session, "expires_after": {"anchor": "created_at", "seconds": 60}}
    headers = {"Authorization": f"Bearer {os.environ['VOICE_KEY']}"} if "VOICE_KEY" in os.environ else {}
    async with (
        ClientSession() as client,
        client.post(f"{URL}/v1/realtime/client_secrets", json=body, headers=headers) as answer,
    ):
        answer.raise_for_status()
        made = await answer.json()
        return web.json_response({"secret": made["value"], "model": made["session"]["model"], "url": URL})


def build_site(folder: Path) -> web.Application:
    """Return the application that serves a folder and `/secret`."""

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(folder / "index.html")

    site = web.Application()
    site.add_routes([web.post("/secret", secret), web.get("/", index), web.static("/", folder)])
    return site


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    web.run_app(build_site(folder), host="127.0.0.1", port=int(os.environ.get("PORT", "9000")))
