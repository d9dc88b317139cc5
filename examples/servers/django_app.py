"""A Django service with a habit. DOWNSTREAM=URL poolscope run -m gunicorn django_app:application"""

import os

import requests
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import poolscope.middleware

settings.configure(
    SECRET_KEY=os.urandom(16).hex(),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["poolscope.middleware.django.Django"],
)
url = os.environ["DOWNSTREAM"]
shared = requests.Session()


def cart(_: HttpRequest, number: int) -> HttpResponse:
    for _time in range(3):
        requests.get(url)  # a session and a connection for each request: this is the habit
    return HttpResponse(f"<p>cart {number}</p>".encode())


def health(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"downstream": shared.get(url).status_code})


urlpatterns = [path("cart/<int:number>", cart), path("health", health)]
application = poolscope.middleware.WSGI(
    get_wsgi_application(),
    allow_debug=lambda environ: (
        os.environ.get("DEVELOPMENT") == "1" and environ["REMOTE_ADDR"] == "127.0.0.1"
    ),
)
