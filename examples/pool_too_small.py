"""More threads than the pool keeps connections: the surplus is closed as soon as it is given back."""

import sys
from concurrent.futures import ThreadPoolExecutor

import requests

url = sys.argv[1].rstrip("/") + "/slow"
count = int(sys.argv[2]) if len(sys.argv) > 2 else 100

with requests.Session() as session, ThreadPoolExecutor(20) as threads:
    list(threads.map(lambda _: session.get(url, timeout=10), range(count)))
