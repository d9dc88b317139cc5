"""Tell which request a program is serving, so that its connections count for the route.

    app = poolscope.middleware.ASGI(app)                      # FastAPI, Starlette, any ASGI
    app.wsgi_app = poolscope.middleware.WSGI(app.wsgi_app)    # Flask, any WSGI
    MIDDLEWARE = ["poolscope.middleware.django.Django", …]    # Django

The debug page and ``?poolscope`` are off unless a callable of yours allows them for a request.
"""

from __future__ import annotations

from poolscope.middleware.asgi import ASGI
from poolscope.middleware.wsgi import WSGI

__all__ = ["ASGI", "WSGI"]
