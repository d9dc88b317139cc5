"""multiprocessing with a client per child, made after the fork."""

import multiprocessing as mp
import os

import httpx

URL = os.environ["URL"]


def child(part: range, results: "mp.SimpleQueue[int]") -> None:
    with httpx.Client(base_url=URL, timeout=5) as client:
        results.put(sum(client.get(f"/fixed/{n}").status_code == 200 for n in part))


if __name__ == "__main__":
    context = mp.get_context("fork")
    results = context.SimpleQueue()
    children = [context.Process(target=child, args=(range(k, 60, 3), results)) for k in range(3)]
    for process in children:
        process.start()
    for process in children:
        process.join()
    assert sum(results.get() for _ in children) == 60
