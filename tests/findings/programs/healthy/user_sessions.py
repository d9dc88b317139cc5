"""A load test: every simulated user has its own session with its own cookies, as real users have."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import requests

URL = os.environ["URL"]


class User:
    def __init__(self, name: str) -> None:
        self.name = name
        self.client = requests.Session()

    def visit(self) -> int:
        with self.client as client:
            client.post(f"{URL}/login/{self.name}", timeout=5)
            for n in range(6):
                client.get(f"{URL}/fixed/{self.name}/{n}", timeout=5)
                time.sleep(random.uniform(0.002, 0.01))
            return len(client.cookies)


with ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(lambda n: User(f"user{n}").visit(), range(24))) == 24
