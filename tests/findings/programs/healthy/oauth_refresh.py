"""An httpx.Auth that fetches a token, keeps it until it is old, and refreshes it on a 401."""

import os
import time
from collections.abc import Generator

import httpx

URL = os.environ["URL"]


class ClientCredentials(httpx.Auth):
    requires_response_body = True

    def __init__(self, token_url: str, lifetime: float) -> None:
        self.token_url, self.lifetime = token_url, lifetime
        self.token, self.expires_at = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() >= self.expires_at:
            answer = yield httpx.Request("POST", self.token_url, data={"grant_type": "client_credentials"})
            self.token, self.expires_at = answer.json()["access_token"], time.monotonic() + self.lifetime
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


with httpx.Client(base_url=URL, auth=ClientCredentials(f"{URL}/token/1", lifetime=0.1)) as client:
    for n in range(40):
        assert client.get(f"/private/{n}").status_code == 200
        time.sleep(0.01)
