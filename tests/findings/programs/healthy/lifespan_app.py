"""A FastAPI service with one AsyncClient in its lifespan, injected into its endpoints."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request

URL = os.environ["URL"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=URL, limits=limits, timeout=5) as client:
        yield {"client": client}


app = FastAPI(lifespan=lifespan)


def upstream(request: Request) -> httpx.AsyncClient:
    return request.state.client


Client = Annotated[httpx.AsyncClient, Depends(upstream)]


@app.get("/orders/{number}")
async def order(number: int, client: Client) -> dict[str, int]:
    price, stock = await asyncio.gather(
        client.get(f"/slow/5/price{number}"), client.get(f"/slow/5/stock{number}")
    )
    return {"price": len(price.content), "stock": len(stock.content)}


async def main() -> None:
    """What an ASGI server and its clients do."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope, receive, send):
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as visitor:
            for start in range(0, 60, 10):
                answers = await asyncio.gather(
                    *(visitor.get(f"/orders/{n}") for n in range(start, start + 10))
                )
                assert all(answer.status_code == 200 for answer in answers)


asyncio.run(main())
