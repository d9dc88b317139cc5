"""Delivers webhooks to many hosts, to each of them rarely, with one AsyncClient and a bounded number in flight."""

import asyncio
import os

import anyio
import httpx

HOSTS = os.environ["HOSTS"].split()


async def deliver(client: httpx.AsyncClient, limiter: anyio.CapacityLimiter, url: str) -> None:
    async with limiter:
        try:
            answer = await client.post(
                url, json={"event": "order.paid"}, headers={"X-Signature": "t=1,v1=00"}
            )
            answer.raise_for_status()
        except httpx.HTTPError:
            pass


async def main() -> None:
    limiter = anyio.CapacityLimiter(10)
    async with httpx.AsyncClient(timeout=3) as client, anyio.create_task_group() as group:
        for event in range(3):
            for host in HOSTS:
                # One of the receivers is down.
                group.start_soon(deliver, client, limiter, f"{host}/upload/hook{event}")
            group.start_soon(deliver, client, limiter, "http://127.0.0.1:9/hook")
            await asyncio.sleep(0.03)


asyncio.run(main())
