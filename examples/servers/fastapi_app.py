"""A FastAPI service with a habit. DOWNSTREAM=URL poolscope run -m uvicorn fastapi_app:app"""

import os

import httpx
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

import poolscope.middleware

app = FastAPI()
url = os.environ["DOWNSTREAM"]
shared = httpx.AsyncClient()


@app.get("/cart/{number}", response_class=HTMLResponse)
async def cart(number: int) -> str:
    for _ in range(3):
        async with httpx.AsyncClient() as client:  # a client for each request: this is the habit
            await client.get(url)
    return f"<p>cart {number}</p>"


@app.get("/health")
async def health() -> dict[str, int]:
    return {"downstream": (await shared.get(url)).status_code}


app.add_middleware(
    poolscope.middleware.ASGI,
    allow_debug=lambda scope: os.environ.get("DEVELOPMENT") == "1" and scope["client"][0] == "127.0.0.1",
)
