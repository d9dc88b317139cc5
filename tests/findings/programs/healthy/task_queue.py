"""Celery-like: each worker process of a prefork pool builds its own session in the process's init signal."""

import multiprocessing as mp
import os

import requests

URL = os.environ["URL"]


class DeliverTask:
    """A base task with the process's session, as Celery's docs advise."""

    _session: requests.Session | None = None

    @property
    def session(self) -> requests.Session:
        if DeliverTask._session is None:
            DeliverTask._session = requests.Session()
        return DeliverTask._session

    def run(self, order: int) -> int:
        return self.session.post(f"{URL}/upload/{order}", json={"order": order}, timeout=5).status_code


task = DeliverTask()

if __name__ == "__main__":
    with mp.get_context("fork").Pool(2) as pool:
        assert set(pool.map(task.run, range(60), chunksize=5)) == {200}
        pool.close()
        pool.join()
