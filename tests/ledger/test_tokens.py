"""What looks like a secret in a path and what does not, measured over keys of many kinds and ordinary paths."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

import pytest

from poolscope.ledger.tokens import HIDDEN, hide_tokens, is_token

LETTERS = string.ascii_letters
ALPHABETS = {
    "hexadecimal": "0123456789abcdef",
    "base32": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "base36": string.ascii_lowercase + string.digits,
    "base62": LETTERS + string.digits,
    "base64url": LETTERS + string.digits + "-_",
    "letters": LETTERS,
    "small letters": string.ascii_lowercase,
}
MISSED = {"base64url": 0.03, "letters": 0.05, "small letters": 0.05}
"""The highest share of random keys of 24 characters that pass for names, where it is above one in 200."""

ORDINARY = """
/ /index.html /api/v1/users/42 /api/v2/customers/cus_42/invoices/2024-000123 /orders/1234567890123456789
/2024/01/02/how-to-keep-connections-alive-in-python /2024-01-02T03:04:05Z /20240102T030405Z /1700000000000
/wiki/Hypertext_Transfer_Protocol /wiki/List_of_HTTP_status_codes /questions/11227809/why-is-processing-a-sorted-array
/python/cpython/blob/main/Lib/importlib/_bootstrap_external.py /encode/httpcore/releases/tag/1.0.9
/api/v1/namespaces/kube-system/pods/coredns-autoscaler/log /apis/rbac.authorization.k8s.io/v1/clusterrolebindings
/getUserAccountByIdAndName /createMonthlyStatementForCustomerAccount /WEB-INF/applicationContext.xml
/static/js/main.3f9a8b7c.chunk.js /assets/vendor-react-dom.production.min.js /fonts/inter-var-latin.woff2
/npm/@opentelemetry/instrumentation-fetch/-/instrumentation-fetch-0.57.2.tgz /simple/charset-normalizer/
/packages/poolscope-0.1.0-py3-none-any.whl /emoji-regex-8.0.0.tgz /rfc/rfc2616-sec14.html /upgrading-pcg64.html
/cgi-bin/search.cgi /search;lang /login/oauth2/code/google /.well-known/openid-configuration /oauth2/v3/userinfo
/subscriptions/list-by-resource-group /providers/Microsoft.Compute/virtualMachines/web-server-01
/2015-03-31/functions/monthly-report-generator/invocations /v1/chat/completions /v1beta/models/text-embedding-3-large
/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E3%83%9A%E3%83%BC%E3%82%B8 /caf%C3%A9-cr%C3%A8me-br%C3%BBl%C3%A9e-rezept /Straßenverzeichnis
/internationalization-and-localization /Donaudampfschifffahrtsgesellschaft /antidisestablishmentarianism
/blue-widget-2000-xl-b07xj8c8f5 /nginx-deployment-66b6c48dd5-7r2xk /ip-10-0-12-34.eu-west-1.compute.internal
/IMG_20240102_123456789.jpg /report-2024Q1-final-v2.pdf /year=2024/month=01/day=02/part-00000.parquet
/user@example.com /@scope/package /teams/first-team/members/second.member /watch/dQw4w9WgXcQ /T0123ABCD/B0123ABCD
/api/datasources/proxy/1/api/v1/query_range /metrics/job/some_batch_job/instance/worker-17 /health/liveness /ping
/0.0.0.0/32 /192.168.100.200/24 /fe80::1ff:fe23:4567:890a /utf-8/iso-8859-15/windows-1252 /en-US/docs/Web/HTTP/Headers
/a-b-c-d-e-f-g-h-i-j /how-to-be-a-pro-in-3-d /the-top-10-things-to-do-in-2024 /TermsAndConditionsOfUse_v12.pdf
""".split()

SECRETS = """
/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw4/sendMessage
/services/T00000000/B00000000/8hGk2LpQ9vXz4RtYw7NmB3cD
/api/webhooks/1098765432109876543/kQ7vX2mZ-9RtYw_8hGk2LpQ4NmB3cDfJ6sAeUiOlKjHgFdS5aZxCvBnM0qWeRtYuIoP
/webhookb2/0f8fad5b-d9cb-469f-a165-70867728950e@7c9e6679-7425-40de-944b-e07fc1f90ae7/IncomingWebhook
/v1/verify/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N
/5f4dcc3b5aa765d61d8327deb882cf99 /reset/MQ/c3rrx7-4fae2d0d6a8b4c7d9e0f1a2b3c4d5e6f
/JBSWY3DPEHPK3PXP /01ARZ3NDEKTSV4RRFFQ69G5FAV /AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY /ghp_16C7e42F292c6912E7
/31415926535897932384626433 /da39a3ee5e6b4b0d3255bfef95601890afd80709 /%34%61sk_live_51H8kQ7vX2mZ9RtYw8hGk2LpQ
""".split()


def keys(alphabet: str, length: int) -> Callable[[], str]:
    dice = random.Random(f"{alphabet}{length}")
    return lambda: "".join(dice.choices(alphabet, k=length))


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_paths_stay(path: str) -> None:
    assert hide_tokens(path) == path


@pytest.mark.parametrize("path", SECRETS)
def test_secrets_are_hidden(path: str) -> None:
    assert HIDDEN in hide_tokens(path)
    assert max(map(len, hide_tokens(path).split("/"))) < 20


@pytest.mark.parametrize("kind", ALPHABETS)
@pytest.mark.parametrize("length", [24, 32, 43, 64])
def test_random_keys_are_found(kind: str, length: int) -> None:
    make = keys(ALPHABETS[kind], length)
    missed = [key for key in (make() for _ in range(4_000)) if not is_token(key)]
    assert len(missed) / 4_000 <= MISSED.get(kind, 0.005), missed[:5]


def test_unguessable_identifiers_are_hidden_as_well() -> None:
    """No rule can distinguish them from keys."""
    dice = random.Random(0)
    assert all(is_token(str(uuid.UUID(int=dice.getrandbits(128)))) for _ in range(1_000))
    assert hide_tokens("/users/0f8fad5b-d9cb-469f-a165-70867728950e/orders") == "/users/…/orders"


def test_the_rest_of_the_path_stays() -> None:
    token = "8hGk2LpQ9vXz4RtYw7NmB3cD"
    assert hide_tokens(f"/hooks/{token}/last") == "/hooks/…/last"
    assert hide_tokens(f"//{token}//") == "//…//"
    assert hide_tokens("/page;session=secret;flag/next") == "/page;session=…;flag/next"
    assert hide_tokens("/http://me:secret@host/") == "/http://…@host/"
    assert hide_tokens("/https%3A%2F%2Fme%3Asecret%40host%2Fpath/") == "/…/"
