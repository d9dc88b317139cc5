"""A read timeout below the server's usual time: most calls fail, and each costs its connection."""

import os

import httpx

URL = os.environ["URL"]

with httpx.Client(base_url=URL, timeout=httpx.Timeout(5, read=0.02)) as client:  # or here
    for number in range(40):
        try:
            client.get(f"/slow/{60 if number % 4 else 1}/{number}")  # or here
        except httpx.ReadTimeout:
            pass
