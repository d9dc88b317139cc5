"""A FastAPI dependency that builds a client for each incoming request."""

import asyncio
import os
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI

URL = os.environ["URL"]
app = FastAPI()


async def client():
    async with httpx.AsyncClient(base_url=URL) as fresh:  # here
        yield fresh


@app.get("/orders/{number}")
async def order(number: int, client: Annotated[httpx.AsyncClient, Depends(client)]):
    return {"size": len((await client.get(f"/fixed/{number}")).content)}


async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as visitor:
        for number in range(40):
            assert (await visitor.get(f"/orders/{number}")).json() == {"size": 2}


asyncio.run(main())
