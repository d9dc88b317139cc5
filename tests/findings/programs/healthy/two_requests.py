"""A script that requests a token and then a report: two calls of the module's functions."""

import os

import requests

URL = os.environ["URL"]
token = requests.post(f"{URL}/token/3600", data={"grant_type": "client_credentials"}, timeout=5).json()[
    "access_token"
]
report = requests.get(f"{URL}/private/report", headers={"Authorization": f"Bearer {token}"}, timeout=5)
report.raise_for_status()
print(len(report.content))
