"""Popular packages against a server on loopback, used as their documentation says, and badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

import pytest

from poolscope import testing

pytestmark = pytest.mark.sdks

TIMES = 6
ANSWERS: dict[str, dict[str, Any]] = {
    "chat/completions": {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}],
    },
    "messages": {
        "id": "x", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "yes"}], "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "customers": {"id": "cus_1", "object": "customer"},
    "namespaces": {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []},
    "version": {"ApiVersion": "1.45", "Version": "1"},
    "_search": {"hits": {"hits": []}},
}  # fmt: skip
BUCKETS = b'<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Buckets/></ListAllMyBucketsResult>'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        known = next((answer for part, answer in ANSWERS.items() if part in self.path), {})
        buckets = "X-Amz-Date" in self.headers
        body = BUCKETS if buckets else json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml" if buckets else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Closes what the package's clients leave open."""

    daemon_threads = True


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


QUESTION = [{"role": "user", "content": "Is it so?"}]


class Sdk:
    """How to build a package's client, and how to use it once."""

    def __init__(self, build: Callable[[str], Any], use: Callable[[Any, str], object]) -> None:
        self.build = build
        self.use = use


def kubernetes(url: str) -> Any:
    client = import_module("kubernetes.client")
    configuration = client.Configuration()
    configuration.host = url
    return client.CoreV1Api(client.ApiClient(configuration))


def botocore(url: str) -> Any:
    return import_module("botocore.session").Session().create_client(
        "s3", region_name="eu-west-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
    )  # fmt: skip


def google(_url: str) -> Any:
    credentials = import_module("google.oauth2.credentials").Credentials("token")
    return import_module("google.auth.transport.requests").AuthorizedSession(credentials)


SDKS: dict[str, Sdk] = {
    "anthropic": Sdk(
        lambda url: import_module("anthropic").Anthropic(api_key="k", base_url=url),
        lambda client, _: client.messages.create(model="m", max_tokens=5, messages=QUESTION),
    ),
    "botocore": Sdk(botocore, lambda client, _: client.list_buckets()),
    "docker": Sdk(
        lambda url: import_module("docker").DockerClient(url.replace("http:", "tcp:"), version="1.41"),
        lambda client, _: client.version(),
    ),
    "elasticsearch": Sdk(
        lambda url: import_module("elasticsearch").Elasticsearch(url),
        lambda client, _: client.search(index="orders"),
    ),
    "google-auth": Sdk(google, lambda session, url: session.get(f"{url}/orders")),
    "kubernetes": Sdk(kubernetes, lambda api, _: api.list_namespaced_pod("default")),
    "openai": Sdk(
        lambda url: import_module("openai").OpenAI(api_key="k", base_url=f"{url}/v1"),
        lambda client, _: client.chat.completions.create(model="m", messages=QUESTION),
    ),
    "stripe": Sdk(
        lambda url: import_module("stripe").StripeClient("sk_test_1", base_addresses={"api": url}),
        lambda client, _: client.v1.customers.retrieve("cus_1"),
    ),
}


# What these packages leave to the garbage collector is their affair.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", SDKS)
def test_one_client_for_all_requests_is_silent(url: str, name: str) -> None:
    sdk = SDKS[name]
    with testing.capture() as captured:
        client = sdk.build(url)
        for _ in range(TIMES):
            sdk.use(client, url)
    assert len(captured.exchanges) == TIMES
    assert captured.findings == []


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", SDKS)
def test_a_client_per_request_has_a_line_of_this_file(url: str, name: str) -> None:
    sdk = SDKS[name]
    with testing.capture() as captured:
        for _ in range(TIMES):
            sdk.use(sdk.build(url), url)
    (finding,) = captured.findings
    assert (finding.code, finding.count) == ("PS101", TIMES)
    assert finding.call_site is not None
    assert finding.call_site.file == __file__
