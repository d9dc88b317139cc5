"""Our own SDK keeps a client per object, which is right; its user builds an object per call."""

import os

import httpx

URL = os.environ["URL"]


class Billing:
    def __init__(self, key):
        self._http = httpx.Client(base_url=URL, headers={"X-Api-Key": key})  # or here

    def invoice(self, number):
        return self._http.get(f"/fixed/{number}").raise_for_status().text


def nightly(numbers):
    for number in numbers:
        Billing("k").invoice(number)  # here


nightly(range(40))
