"""Polls far less often than the server keeps an idle connection: each poll needs a new connection."""

import os
import time

import requests

URL = os.environ["IDLE_URL"]

with requests.Session() as session:
    for minute in range(5):
        session.get(f"{URL}/fixed/health/{minute}", timeout=2).raise_for_status()
        time.sleep(1.3)  # a minute, where the server closes idle connections after 15 s
