"""A Flask service with a habit. DOWNSTREAM=URL poolscope run -m gunicorn flask_app:app"""

import os

import requests
from flask import Flask

import poolscope.middleware

app = Flask(__name__)
url = os.environ["DOWNSTREAM"]
shared = requests.Session()


@app.get("/cart/<int:number>")
def cart(number: int) -> str:
    for _ in range(3):
        requests.get(url)  # a session and a connection for each request: this is the habit
    return f"<p>cart {number}</p>"


@app.get("/health")
def health() -> dict[str, int]:
    return {"downstream": shared.get(url).status_code}


app.wsgi_app = poolscope.middleware.WSGI(
    app.wsgi_app,
    allow_debug=lambda environ: (
        os.environ.get("DEVELOPMENT") == "1" and environ["REMOTE_ADDR"] == "127.0.0.1"
    ),
)
