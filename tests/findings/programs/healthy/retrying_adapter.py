"""urllib3's Retry with backoff on a mounted adapter; a server that is unwell now and then."""

import os

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

URL = os.environ["URL"]


def make_session() -> requests.Session:
    retry = Retry(total=4, backoff_factor=0.01, status_forcelist=(502, 503, 504), allowed_methods={"GET"})
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


with make_session() as session:
    for order in range(30):
        # Every fifth order's first answer is a 503.
        kind = "flaky" if order % 5 == 0 else "fixed"
        session.get(f"{URL}/{kind}/{order}", timeout=3).raise_for_status()
