"""A rule engine that executes its rules' source; one of the rules calls requests.get."""

import os

import requests

URL = os.environ["URL"]
RULE = "result = requests.get(f'{url}/fixed/{n}', timeout=3).ok"
compiled = compile(RULE, "<rule discount>", "exec")


def decide(n):
    scope = {"requests": requests, "url": URL, "n": n}
    exec(compiled, scope)  # here
    return scope["result"]


assert all(decide(n) for n in range(40))
