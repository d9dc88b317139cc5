"""A small FastAPI service that calls a downstream, on its event loop and in threads."""

from __future__ import annotations

import os

import httpx
import requests
from fastapi import FastAPI

DOWNSTREAM = os.environ["DOWNSTREAM"]
app = FastAPI()
session = requests.Session()
client = httpx.AsyncClient()


@app.get("/work")
async def work(name: str) -> dict[str, int]:
    answers = {"client": (await client.get(f"{DOWNSTREAM}?call=client-{name}")).status_code}
    async with httpx.AsyncClient() as own:
        answers["httpx"] = (await own.get(f"{DOWNSTREAM}?call=httpx-{name}")).status_code
    return answers


@app.get("/threads")
def threads(name: str) -> dict[str, int]:
    return {
        "session": session.get(f"{DOWNSTREAM}?call=session-{name}").status_code,
        "requests": requests.get(f"{DOWNSTREAM}?call=requests-{name}").status_code,
    }
