"""A small Django service that calls a downstream, with clients it keeps and with a client per call."""

from __future__ import annotations

import os
from typing import Any

import httpx
import requests
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

DOWNSTREAM = os.environ["DOWNSTREAM"]
session = requests.Session()
client = httpx.Client()
if os.environ.get("ASK_BEFORE_FORK"):
    requests.get(f"{DOWNSTREAM}?call=before-fork")


def work(request: HttpRequest) -> JsonResponse:
    name = request.GET["name"]
    ways: dict[str, Any] = {
        "session": session.get,
        "client": client.get,
        "requests": requests.get,
        "httpx": httpx.get,
    }
    return JsonResponse(
        {way: get(f"{DOWNSTREAM}?call={way}-{name}").status_code for way, get in ways.items()}
    )


urlpatterns = [path("work", work)]
application = get_wsgi_application()
