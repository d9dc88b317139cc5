"""A small Django service that calls a downstream, with clients it keeps and with a client per call."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

import httpx
import requests
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

DOWNSTREAM = os.environ["DOWNSTREAM"]
session = requests.Session()
PATIENCE = 60.0
"""httpx's own is 5 s, which a busy machine may need for an answer."""
client = httpx.Client(timeout=PATIENCE)
if os.environ.get("ASK_BEFORE_FORK"):
    requests.get(f"{DOWNSTREAM}?call=before-fork")


def work(request: HttpRequest) -> JsonResponse:
    name = request.GET["name"]
    if "meet" in request.GET:
        with socket.create_connection(("127.0.0.1", int(os.environ["MEETING"]))) as others:
            assert others.recv(1), "another worker is serving a request as well"
    ways: dict[str, Any] = {
        "session": session.get,
        "client": client.get,
        "requests": requests.get,
        "httpx": partial(httpx.get, timeout=PATIENCE),
    }
    return JsonResponse(
        {way: get(f"{DOWNSTREAM}?call={way}-{name}").status_code for way, get in ways.items()}
    )


urlpatterns = [path("work", work)]
application = get_wsgi_application()
