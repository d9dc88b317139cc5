"""A small FastAPI service that calls a downstream, on its event loop and in threads."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import requests
from fastapi import FastAPI
from opentelemetry._logs import get_logger_provider
from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_tracer_provider

DOWNSTREAM = os.environ["DOWNSTREAM"]


@asynccontextmanager
async def flushing(_: FastAPI) -> AsyncIterator[None]:
    """As docs/production.md advises: SIGTERM ends uvicorn without Python's exit handlers."""
    yield
    providers: tuple[Any, ...] = (get_meter_provider(), get_logger_provider(), get_tracer_provider())
    for provider in providers:  # Any: only those of the SDK can be flushed
        provider.force_flush()


app = FastAPI(lifespan=flushing if "FLUSH_AT_END" in os.environ else None)
session = requests.Session()
PATIENCE = 60.0
"""httpx's own is 5 s, which a busy machine may need for an answer."""
client = httpx.AsyncClient(timeout=PATIENCE)


@app.get("/work")
async def work(name: str) -> dict[str, int]:
    answers = {"client": (await client.get(f"{DOWNSTREAM}?call=client-{name}")).status_code}
    async with httpx.AsyncClient(timeout=PATIENCE) as own:
        answers["httpx"] = (await own.get(f"{DOWNSTREAM}?call=httpx-{name}")).status_code
    return answers


@app.get("/threads")
def threads(name: str) -> dict[str, int]:
    return {
        "session": session.get(f"{DOWNSTREAM}?call=session-{name}").status_code,
        "requests": requests.get(f"{DOWNSTREAM}?call=requests-{name}").status_code,
    }
