"""A cached_property of an object that lives for one request: cached once, used once."""

import os
from functools import cached_property

import requests

URL = os.environ["URL"]


class RequestContext:
    def __init__(self, number):
        self.number = number

    @cached_property
    def http(self):
        return requests.Session()  # here

    def handle(self):
        price = self.http.get(f"{URL}/fixed/price{self.number}", timeout=3)
        stock = self.http.get(f"{URL}/fixed/stock{self.number}", timeout=3)
        return price.ok and stock.ok


assert all(RequestContext(n).handle() for n in range(40))
