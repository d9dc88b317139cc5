"""A small Django application: the paths that the examples ask for."""

from __future__ import annotations

import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import re_path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="signs nothing here",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)

LARGE = b"x" * 2_000_000
SLOW = 0.02


def ok(_: HttpRequest, *_path: str) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def slow(_: HttpRequest) -> HttpResponse:
    time.sleep(SLOW)
    return JsonResponse({"status": "ok"})


def large(_: HttpRequest) -> HttpResponse:
    return HttpResponse(LARGE, content_type="application/octet-stream")


# The proxy closes the connection after an answer of /closing: Django's own Connection header is hop-by-hop.
urlpatterns = [re_path("^slow$", slow), re_path("^large$", large), re_path("^(closing)?$", ok)]

application = get_wsgi_application()
