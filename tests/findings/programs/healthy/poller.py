"""Polls a job's status with one client until it is done, sleeping in between."""

import itertools
import os
import time

import httpx

URL = os.environ["URL"]

with httpx.Client(base_url=URL, timeout=httpx.Timeout(5, connect=1)) as client:
    client.post("/upload/jobs", json={"kind": "export"}).raise_for_status()
    for pause in itertools.islice(itertools.cycle([0.02, 0.04, 0.08]), 25):
        status = client.get("/fixed/jobs/17")
        status.raise_for_status()
        time.sleep(pause)
    client.delete("/empty/jobs/17")
