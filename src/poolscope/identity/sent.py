"""What a request says about its sender: every header, cookie and credential, except those without identity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

Text: TypeAlias = "bytes | str"
# Patterns are text until they are used: compiling them here would cost every program a millisecond of its start.

# Headers ---------------------------------------------------------------------------------------------

_MESSAGE: Final = """
accept accept-charset accept-encoding accept-language cache-control connection content-digest content-disposition
content-encoding content-language content-length content-location content-md5 content-range content-type date digest
expect host http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive
last-event-id max-forwards origin pragma prefer priority range referer te trailer transfer-encoding upgrade
upgrade-insecure-requests want-digest x-http-method-override x-requested-with
"""
_WHICH_REQUEST: Final = """
idempotency-key x-idempotency-key idempotent-id request-id x-request-id x-requestid client-request-id
x-client-request-id x-ms-client-request-id x-ms-correlation-request-id x-correlation-id x-correlationid
correlation-id x-amzn-requestid x-opaque-id x-transaction-id x-request-start x-request-time x-attempt
amz-sdk-invocation-id amz-sdk-request x-goog-request-id x-goog-gcs-idempotency-token x-stripe-client-telemetry
x-goog-api-client x-nonce
"""
_WHICH_TRACE: Final = """
traceparent tracestate baggage b3 sentry-trace newrelic elastic-apm-traceparent uber-trace-id grpc-trace-bin
grpc-tags-bin x-amzn-trace-id x-cloud-trace-context x-trace-id x-client-trace-id x-span-id x-ot-span-context
"""
_SIGNED: Final = "x-amz-date x-amz-content-sha256 x-ms-date x-timestamp x-date x-content-sha256"
"""When it was signed, and over what."""
_NOBODY: Final = frozenset(f"{_MESSAGE} {_WHICH_REQUEST} {_WHICH_TRACE} {_SIGNED}".split())
_NOBODY_STARTS: Final = (
    "x-b3-", "x-datadog-", "x-newrelic-", "ot-tracer-", "ot-baggage-", "uberctx-", "x-stainless-", "sec-fetch-",
    "sec-ch-ua", "sec-websocket-", "x-amz-checksum-", "x-amz-meta-", "x-envoy-", "x-goog-hash", "x-upload-content-",
)  # fmt: skip
_BALANCERS: Final = (
    "awsalb", "awselb", "bigipserver", "arraffinity", "serverid", "gclb", "ingresscookie", "__cf_bm", "_cfuvid",
    "__cflb", "cf_ob_info", "ts01", "incap_ses", "visid_incap", "nlbi_", "ak_bmsc", "bm_sv", "bm_sz", "_abck", "lb",
    "route", "x-lb", "stickounet", "srv_id",
)  # fmt: skip
"""Prefixes of load balancers' cookies: they name the server that answered, not the sender."""
_AUTHORIZATIONS: Final = frozenset(("authorization", "proxy-authorization"))
_KEYS: Final = (
    r"(api-?|auth-|access-|subscription-)key$|(auth|access|private|vault|api|bearer|security)-?token$"
)
"""Endings of headers that hold only a credential."""
_KEYS_IN_QUERIES: Final = ("api_key=", "apikey=", "api-key=", "access_token=")
_ANYBODY, _SOMEBODY, _CREDENTIAL, _COOKIE, _KEY = range(5)

_kinds: dict[Text, tuple[int, str]] = {}


def items_of(
    headers: Iterable[tuple[Text, Text]], target: Text | None, body: Any, credentials: set[int]
) -> list[int]:
    """A hash for each part that identifies the sender; parts that surely are credentials are added to
    ``credentials``.
    """
    items: list[int] = []
    for name, value in headers:
        kind, plain = _kinds.get(name) or _classify(name)
        if kind == _ANYBODY:
            continue
        given = _text(value)
        if kind == _COOKIE:
            items += [hash((plain, pair)) for pair in _cookies(given)]
        else:
            item = hash((plain, credential(given) if kind == _CREDENTIAL else given))
            items.append(item)
            if kind != _SOMEBODY:
                credentials.add(item)
    if target is not None:
        for pair in _query(_text(target)):
            item = hash(("query", pair))
            items.append(item)
            if pair.lower().startswith(_KEYS_IN_QUERIES):
                credentials.add(item)
    if body is not None:
        items += [hash(("body", pair)) for pair in _body(body)]
    return items


def _classify(name: Text) -> tuple[int, str]:
    plain = _text(name).strip().lower()
    if plain in _NOBODY or plain.startswith(_NOBODY_STARTS):
        kind = _ANYBODY
    elif plain in _AUTHORIZATIONS:
        kind = _CREDENTIAL
    else:
        kind = _COOKIE if plain == "cookie" else _KEY if re.search(_KEYS, plain) else _SOMEBODY
    if len(_kinds) > 1_000:
        _kinds.clear()
    _kinds[name] = kind, plain
    return kind, plain


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else str.__str__(str(value))


_NAMED: Final = r'(\w+)\s*=\s*(?:"([^"]*)"|([^",\s]*))'
_OF_WHOM: Final = frozenset(
    ("credential", "username", "realm", "oauth_consumer_key", "oauth_token", "id", "keyid", "apikey", "app")
)


def credential(value: str) -> str:
    """The value to compare: of a signature, which changes each time, only the id of its key; else all of it."""
    scheme, _, rest = value.partition(" ")
    lowered = scheme.lower()
    if lowered in ("aws4-hmac-sha256", "aws4-ecdsa-p256-sha256"):
        return f"{lowered} {_access_key(rest)}"
    if lowered in ("aws", "sharedkey", "sharedkeylite"):  # KEY:signature
        return f"{lowered} {rest.partition(':')[0]}"
    if lowered in ("digest", "oauth", "hawk", "signature", "acs3-hmac-sha256"):
        named = {name.lower(): first or second for name, first, second in re.findall(_NAMED, rest)}
        owner_parts = sorted((name, given) for name, given in named.items() if name in _OF_WHOM)
        return f"{lowered} {owner_parts}" if owner_parts else value
    return value


def _access_key(rest: str) -> str:
    found = re.search(r"Credential=([^/,\s]+)", rest)
    return found[1] if found else rest


def _cookies(value: str) -> Iterator[str]:
    for pair in map(str.strip, value.split(";")):
        if pair and not pair.lower().startswith(_BALANCERS):
            yield pair


# Query and body --------------------------------------------------------------------------------------

_IN_BODIES: Final = """
apikey token secret authorization password passwd passphrase pwd credential credentials session sessionid jwt assertion
"""
_IN_QUERIES: Final = "key sig signature auth pass sid ticket appid licence license code hmac"
_SECRETS: Final = frozenset(_IN_BODIES.split())
_WORDS: Final = _SECRETS.union(_IN_QUERIES.split())
_ENDS: Final = ("apikey", "api_key", "api-key", "token", "secret", "password")
_PER_REQUEST: Final = frozenset(("x-amz-signature", "x-goog-signature", "x-amz-date", "x-goog-date"))
_SPLIT: Final = r"[^a-zA-Z0-9]+|(?<=[a-z0-9])(?=[A-Z])"
_UUID: Final = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z"
_OPAQUE: Final = r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_\-.~%+/=]{20,}\Z"
_IN_BODY: Final = r'"?([\w\-.]{2,64})"?\s*[=:]\s*"?([^&",}\s]+)'
BODY: Final = 4_096
"""Bytes; longer bodies carry data, not credentials alone."""


def _query(target: str) -> Iterator[str]:
    authority = target.partition("://")[2].partition("/")[0] if target[:1] != "/" else ""
    if "@" in authority:
        yield f"userinfo={authority.rpartition('@')[0]}"
    query = target.partition("#")[0].partition("?")[2]
    if not query:
        return
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if not value:
            if name:
                yield pair  # a bare token may itself be the secret
        elif name.lower() in ("x-amz-credential", "x-goog-credential"):
            yield f"{name}={value.partition('%2F')[0].partition('/')[0]}"
        elif name.lower() not in _PER_REQUEST and (names_credential(name) or _looks_secret(value)):
            yield pair


def _looks_secret(value: str) -> bool:
    return len(value) >= 20 and re.match(_OPAQUE, value) is not None and re.match(_UUID, value) is None


def names_credential(name: str, words: frozenset[str] = _WORDS) -> bool:
    """Whether a name in a query or a body is that of a credential."""
    return any(word.lower() in words for word in re.split(_SPLIT, name)) or name.lower().endswith(_ENDS)


def _body(body: Any) -> Iterator[str]:
    if isinstance(body, bytes | str) and 0 < len(body) <= BODY:
        for name, value in re.findall(_IN_BODY, _text(body)):
            if names_credential(name, _SECRETS):
                yield f"{name}={value}"
