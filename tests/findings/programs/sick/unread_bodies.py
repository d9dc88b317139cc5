"""Checks the status of streamed answers and leaves the bodies unread: no connection is ever reused."""

import os

import requests

URL = os.environ["URL"]
session = requests.Session()


def exists(number):
    answer = session.get(f"{URL}/size/200000/{number}", stream=True, timeout=3)  # here
    return answer.status_code == 200


assert all(exists(n) for n in range(40))
