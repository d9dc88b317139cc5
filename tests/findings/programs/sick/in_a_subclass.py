"""A Session subclass with a base URL, built by the function that uses it."""

import os

import requests

URL = os.environ["URL"]


class ShopSession(requests.Session):
    def __init__(self):
        super().__init__()
        self.headers["Accept"] = "application/json"

    def request(self, method, url, *args, **kwargs):
        return super().request(method, URL + url, *args, **kwargs)


def order(number):
    with ShopSession() as shop:  # here
        return shop.get(f"/fixed/{number}", timeout=3).status_code


assert {order(n) for n in range(40)} == {200}
