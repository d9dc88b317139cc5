"""Views of a threaded WSGI application that share one lazily built session behind a lock."""

import os
import threading
from functools import cache
from wsgiref.util import setup_testing_defaults

import requests

URL = os.environ["URL"]


@cache
def session() -> requests.Session:
    fresh = requests.Session()
    fresh.headers["X-Service"] = "shop"
    return fresh


def application(environ, start_response):
    page = session().get(f"{URL}/page/0{environ['PATH_INFO']}", timeout=(1, 5)).json()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(page["items"])).encode()]


def worker(number: int) -> None:
    for n in range(15):
        environ = {"PATH_INFO": f"/{number}/{n}"}
        setup_testing_defaults(environ)
        assert b"".join(application(environ, lambda *_: None))


session()
threads = [threading.Thread(target=worker, args=(n,), name=f"worker-{n}") for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
