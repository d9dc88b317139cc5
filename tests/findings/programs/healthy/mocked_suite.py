"""A test suite with a client per test: MockTransport, respx, responses and requests-mock, without any socket."""

import httpx
import requests
import requests_mock
import responses
import respx

for n in range(8):
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={}))) as client:
        assert client.get(f"http://shop.test/orders/{n}").json() == {}

for n in range(8):
    with respx.mock(base_url="http://shop.test") as mock:
        mock.get(f"/orders/{n}").respond(200, json={"id": n})
        assert httpx.get(f"http://shop.test/orders/{n}").json() == {"id": n}

for n in range(8):
    with responses.RequestsMock() as mocked:
        mocked.get(f"http://shop.test/orders/{n}", json={"id": n})
        assert requests.get(f"http://shop.test/orders/{n}").json() == {"id": n}

for n in range(8):
    with requests_mock.Mocker() as mocker, requests.Session() as session:
        mocker.get(f"http://shop.test/orders/{n}", json={"id": n})
        assert session.get(f"http://shop.test/orders/{n}").json() == {"id": n}
