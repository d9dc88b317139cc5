"""What lint hints at, and what it leaves alone because it is in doubt."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolscope import testing
from tests.lint.conftest import lines, linted
from tests.servers import Running

SICK = {
    "a call in a loop": """
        import requests

        def total(items):
            return sum_of([requests.get(f"{URL}/fixed/{item}").text for item in items])

        sum_of = "".join
        total("abcde")
        """,
    "a session in a loop": """
        import requests as r

        def total(items):
            for item in items:
                with r.Session() as session:
                    session.get(URL + f"/fixed/{item}")

        total("abcde")
        """,
    "a client in a function": """
        from httpx import Client

        def price(item):
            with Client(timeout=9) as client:
                return client.get(f"{URL}/fixed/{item}").text

        for item in range(5):
            price(item)
        """,
    "an asynchronous client in a method": """
        import asyncio, httpx

        class Shop:
            async def price(self, item):
                address = "{}/fixed/{}"
                url = f"{URL}/fixed/{item}"
                async with httpx.AsyncClient() as client:
                    answer = await client.get(url)
                return answer.text

        async def all_prices():
            for item in range(5):
                await Shop().price(item)

        asyncio.run(all_prices())
        """,
    "a session of aiohttp": """
        import aiohttp, asyncio

        async def price(item):
            async with aiohttp.ClientSession() as session, session.get(f"{URL}/fixed/{item}") as answer:
                return await answer.text()

        async def all_prices():
            for item in range(5):
                await price(item)

        asyncio.run(all_prices())
        """,
    "a pool manager": """
        import urllib3

        def price(item):
            http = urllib3.PoolManager()
            body = http.request("GET", f"{URL}/fixed/{item}").data
            http.clear()
            return body

        for item in range(5):
            price(item)
        """,
}


@pytest.mark.parametrize("source", SICK.values(), ids=SICK)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_run_proves_each_hint_at_the_same_line(server: Running, source: str) -> None:
    program = textwrap.dedent(source)
    (hint,) = linted(program)
    with testing.capture() as captured:
        exec(compile(program, "shop.py", "exec"), {"URL": server.origin, "__name__": "shop"})
    (found,) = [finding for finding in captured.findings if finding.code == "PS101"]
    assert found.call_site is not None
    assert (hint.line, hint.kind) == (found.call_site.line, found.kind)
    assert hint.function == found.call_site.function.replace(".<locals>.<listcomp>", "")


FIXED = {
    "one session for the loop": """
        import requests
        def total(items):
            with requests.Session() as session:
                return [session.get(f"{URL}/{item}") for item in items]
        """,
    "one session outside of the loop": """
        import requests
        session = requests.Session()
        for item in range(9):
            session.get(f"{URL}/{item}")
        """,
    "a client of the module": """
        import httpx
        client = httpx.Client()
        def price(item):
            return client.get(f"{URL}/{item}")
        """,
    "a session that is shared": """
        import aiohttp
        async def price(session: aiohttp.ClientSession, item):
            async with session.get(f"{URL}/{item}") as answer:
                return await answer.text()
        """,
    "aiohttp.request, which has the server close each time": """
        import aiohttp
        async def total(items):
            for item in items:
                async with aiohttp.request("GET", f"{URL}/{item}") as answer:
                    await answer.text()
        """,
    "urllib3's own shared pool": """
        import urllib3
        for item in range(9):
            urllib3.request("GET", f"{URL}/{item}")
        """,
}
IN_A_LOOP = """
import requests, time
URL = "https://api.example.com"
def total(items, host, key):
    for item in items:
        {}
"""
NO_LOOP_OF_OURS = {
    "another server each time": "requests.get(item)",
    "another server in the address": "requests.get(f'https://{item}.example.com/')",
    "an address that a call makes": "requests.get(address_of(item))",
    "nothing new": "requests.get(URL)",
    "other credentials": "requests.get(f'{URL}/{item}', auth=item)",
    "other headers": "requests.get(f'{URL}/{item}', headers={'X': item})",
    "other credentials in the query": "requests.get(URL, params={'page': item, 'access_token': item})",
    "other credentials in the address": "requests.get(f'{URL}/me?page=1&api_key={item}')",
    "other credentials in the body": "requests.post(f'{URL}/{item}', json={'password': item})",
    "other credentials in a variable": "form = {'token': item}; requests.post(f'{URL}/{item}', data=form)",
    "headers that a call makes": "requests.get(f'{URL}/{item}', headers=sign())",
    "arguments that cannot be read": "requests.get(f'{URL}/{item}', **options)",
    "a body that may not be read": "requests.get(f'{URL}/{item}', stream=True)",
    "a connection that closes": "requests.get(f'{URL}/{item}', headers={'Connection': 'close'})",
    "only sometimes": "item and requests.get(f'{URL}/{item}')",
    "later": "later(lambda: requests.get(f'{URL}/{item}'))",
    "a long sleep": "requests.get(f'{URL}/{item}'); time.sleep(60)",
    "a sleep of unknown length": "requests.get(f'{URL}/{item}'); time.sleep(host.pause)",
    "a search": "answer = requests.get(f'{URL}/{item}')\n        if answer.ok: return answer",
    "the first that will do": "answer = requests.get(f'{URL}/{item}')\n        if answer.ok: break",
    "a handler": "try: pass\n        except OSError: requests.get(f'{URL}/{item}')",
    "a client that is used more": "s = requests.Session(); s.get(f'{URL}/{item}'); s.get(f'{URL}/{item}/more')",
    "a client that is configured": "s = requests.Session(); s.auth = item; s.get(f'{URL}/{item}')",
    "a client that is kept": "s = requests.Session(); host.append(s); s.get(f'{URL}/{item}')",
}
IN_A_FUNCTION = {
    "returned": "def f(item):\n    c = httpx.Client()\n    return c",
    "stored": "def f(self, item):\n    self.c = httpx.Client()\n    self.c.get(f'{URL}/{item}')",
    "yielded": "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\n        yield c",
    "passed on": "def f(item):\n    with httpx.Client() as c:\n        g(c)\n        c.get(f'{URL}/{item}')",
    "several calls": "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\n        c.get(URL)",
    "a loop": "def f(items):\n    with httpx.Client() as c:\n        for item in items: c.get(f'{URL}/{item}')",
    "global": "def f(item):\n    global c\n    c = httpx.Client()\n    c.get(f'{URL}/{item}')",
    "one call only": "def f(item):\n    return httpx.get(f'{URL}/{item}')",
    "the module": "with httpx.Client() as c:\n    c.get(URL)",
    "the main block": "if __name__ == '__main__':\n    with httpx.Client() as c:\n        c.get(URL)",
    "main": "def main(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')",
    "started by the module": "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\nf(1)",
    "started by main": "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\n"
    "def main():\n    f(1)",
    "a command": "@app.command()\ndef f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')",
    "a fixture": "@pytest.fixture\ndef f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')",
    "a cache": "@lru_cache\ndef f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')",
    "the same each time": "def f(item):\n    with httpx.Client() as c:\n        c.get(URL)",
    "any server": "def f(url):\n    with httpx.Client() as c:\n        c.get(url)",
    "any token": "def f(token, item):\n    with httpx.Client(headers={'X': token}) as c:\n        c.get(f'{URL}/{item}')",
    "a transport": "def f(item):\n    with httpx.Client(transport=T) as c:\n        c.get(f'{URL}/{item}')",
    "only where none was given": "def f(self, item):\n    if self.client is None:\n"
    "        with httpx.Client() as c:\n            c.get(f'{URL}/{item}')",
    "a poll": "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\n    time.sleep(60)",
    "a schedule": "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\n"
    "schedule.every(1).minutes.do(f, 1)",
    "a schedule's keyword": "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\n"
    "def g(planner): planner.add_job(func=f, trigger='cron')",
    "a timer's method": "class A:\n    def f(self, item):\n        with httpx.Client() as c:\n"
    "            c.get(f'{URL}/{item}')\n    def g(self):\n        threading.Timer(60, lambda: self.f(1)).start()",
    "a loop for each call": "async def f(item):\n    async with httpx.AsyncClient() as c:\n        await c.get(f'{URL}/{item}')\n"
    "def g(item):\n    asyncio.run(f(item))",
    "a loop for each call, by anyio": "async def f(item):\n    async with httpx.AsyncClient() as c:\n        await c.get(f'{URL}/{item}')\n"
    "def g(item):\n    anyio.run(f, item)",
    "another httpx": "def f(httpx, item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')",
}


@pytest.mark.parametrize("source", FIXED.values(), ids=FIXED)
def test_fixed_code_is_left_alone(source: str) -> None:
    assert lines(source) == []


@pytest.mark.parametrize("body", NO_LOOP_OF_OURS.values(), ids=NO_LOOP_OF_OURS)
def test_a_doubtful_loop_is_left_alone(body: str) -> None:
    assert lines(IN_A_LOOP.format("requests.get(f'{URL}/{item}')")) == [(6, "loop")], (
        "else it would be the frame"
    )
    assert lines(IN_A_LOOP.format(body)) == []


@pytest.mark.parametrize(
    "body",
    [
        "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')",
        "def f(item):\n    c = httpx.Client(headers=HEADERS)\n    c.get(f'{URL}/{item}')\n    c.close()",
        "def f(item):\n    return httpx.Client().get(f'{URL}/{item}')",
        "def f(item):\n    with httpx.Client(base_url=URL) as c:\n        c.get(f'/{item}')",
        "def f(items):\n    for item in items:\n        httpx.Client().post(URL, json=item)",
        "@app.get('/')\ndef f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')",
        "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}/{item}')\nfor i in A: f(i)",
        "def f(item):\n    with httpx.Client() as c:\n        c.get(f'{URL}?token={TOKEN}&page={item}')",
    ],
)
def test_a_client_for_one_request_in_each_form(body: str) -> None:
    assert len(lines(f"import httpx\nURL = 'https://api.example.com'\n{body}")) == 1


@pytest.mark.parametrize("body", IN_A_FUNCTION.values(), ids=IN_A_FUNCTION)
def test_a_doubtful_function_is_left_alone(body: str) -> None:
    assert lines(f"import httpx\nURL = 'https://api.example.com'\n{body}") == []


WITH_CREDENTIALS = (
    "c.get(URL, params={'api_key': KEY, 'page': i})",
    "c.get(URL, params=dict(api_key=KEY, page=i))",
    "c.get(URL, params=dict({'page': i}, api_key=KEY))",
    "c.get(URL, params=[('api_key', KEY), ('page', i)])",
    "c.get(URL, params=(['api_key', KEY], ['page', i]))",
    "c.get(URL + '?page=' + str(i) + '&api_key=' + KEY)",
    "c.get(URL + f'?page={i}&api_key=' + KEY)",
    "c.get(f'{URL}?page={i}&api_key={KEY}')",
    "c.get(f'{URL}?page={i}&api_key=prefix-{KEY}')",
    "c.get(URL + '?page=%s&api_key=%s' % (i, KEY))",
    "c.get(URL + '?page={}&api_key={}'.format(i, KEY))",
    "c.get(URL + '?api_key={key}'.format(key=KEY) + f'&page={i}')",
    "c.get(URL + '?' + urlencode({'page': i, 'api_key': KEY}))",
    'c.post(URL, content=\'{"page": 1, "token": "\' + KEY + \'"}\' + str(i))',
    "c.post(URL, content=b'page=%d&token=' % i + KEY)",
    "p = {'page': i}; p['api_key'] = KEY; c.get(URL, params=p)",
    "p = {'page': i}; p.update(api_key=KEY); c.get(URL, params=p)",
    "p = {'page': i}; p.setdefault('api_key', KEY); c.get(URL, params=p)",
    "p = [('page', i)]; p.append(('api_key', KEY)); c.get(URL, params=p)",
    "q = {'api_key': KEY}; p = {'page': i, **q}; c.get(URL, params=p)",
    "q = f'page={i}'; q += '&api_key=' + KEY; c.get(URL, params=q)",
)


@pytest.mark.parametrize("body", WITH_CREDENTIALS)
def test_another_credential_is_another_client(body: str) -> None:
    frame = "import httpx\nURL = 'https://api.example.com'\ndef f(i, key):\n    with httpx.Client() as c: "
    assert len(lines(frame + body)) == 1
    assert lines(frame + body.replace("KEY", "key")) == []


def test_a_sort_key_is_no_credential() -> None:
    source = """
        import httpx
        def f(ids):
            with httpx.Client() as c:
                c.get("https://api.example.com", params={"ids": sorted(ids, key=lambda i: i.number())})
        """
    assert lines(source) == [(4, "function")]


SCHEDULED = {
    "timer.record(f(i))": False,
    "timer.record(await_it(f(i)))": False,
    "collect_everything(f(i) for i in A)": False,
    "collect_everything(f, A)": False,
    "multitimers(f, A)": False,
    "scheduler.spawn(f(i))": False,
    "repeat_every(60, f)": True,
    "Every(60, f)": True,
    "RepeatedTimer(60, f)": True,
    "BackgroundScheduler().add_job(func=f)": True,
    "loop.call_later(60, lambda: f(1))": True,
    "loop.call_later(60, partial(f, 1))": True,
    "queue.run_repeating(f, 60)": True,
}


@pytest.mark.parametrize(("body", "scheduled"), SCHEDULED.items(), ids=SCHEDULED)
def test_a_schedule_gets_the_function_itself_and_is_known_by_whole_words(body: str, scheduled: bool) -> None:
    source = f"""
import httpx
URL = 'https://api.example.com'
def f(item):
    with httpx.Client() as c:
        c.get(f'{{URL}}/{{item}}')
def g(i, A):
    {body}
"""
    assert lines(source) == ([] if scheduled else [(5, "function")])


def test_a_test_is_left_alone() -> None:
    source = IN_A_LOOP.format("requests.get(f'{URL}/{item}')")
    assert len(linted(source)) == 1
    assert linted(source, is_test=True) == []


@pytest.mark.parametrize(
    ("through", "hinted"),
    [
        ("range(2)", 0),
        ("range(1, 3)", 0),
        ("('a', 'b')", 0),
        ("range(3)", 1),
        ("['a', 'b', 'c']", 1),
        ("items", 1),
    ],
)
def test_as_many_rounds_as_the_finding_needs(through: str, hinted: int) -> None:
    source = IN_A_LOOP.format("requests.get(f'{URL}/{item}')").replace("in items", f"in {through}")
    assert len(lines(source)) == hinted


@pytest.mark.parametrize(("seconds", "hinted"), [("4.9", 1), ("5", 0)])
def test_a_pause_shorter_than_a_connection_is_kept(seconds: str, hinted: int) -> None:
    assert len(lines(IN_A_LOOP.format(f"requests.get(f'{{URL}}/{{item}}'); time.sleep({seconds})"))) == hinted


def test_pages_requested_until_there_are_no_more() -> None:
    source = """
        import requests
        def pages(self):
            cursor = None
            while True:
                answer = requests.get(self.base_url + "/list", params={"after": cursor}).json()
                if not answer["items"]:
                    break
                cursor = answer["next"]
        """
    assert lines(source) == [(6, "loop")]
    assert lines(source.replace('cursor = answer["next"]', "pass")) == [], "it asks for the same again"
    assert lines(source.replace('not answer["items"]', "self.only_one")) == [], "a setting ends it"


def test_a_handler_sends_each_time_whatever_it_requests() -> None:
    source = """
        import httpx
        @app.get("/rates")
        async def rates():
            async with httpx.AsyncClient() as client:
                return (await client.get("https://rates.example.com/today")).json()
        """
    assert lines(source) == [(5, "function")]
    assert lines(source.replace('@app.get("/rates")', "@other")) == []


IMPORTS = {
    "import {library}": "{library}.{name}",
    "import {library} as x": "x.{name}",
    "from {library} import {name}": "{name}",
    "from {library} import {name} as x": "x",
    "try:\n    import {library}\nexcept ImportError:\n    {library} = None": "{library}.{name}",
}
LOOPS = {
    "for i in items:\n    {call}": True,
    "while more():\n    {call}\n    i += 1": True,
    "while i := more():\n    {call}": True,
    "found = [{call} for i in items]": True,
    "found = {{i: {call} for i in items}}": True,
    "for i in items:\n    try:\n        {call}\n    except OSError:\n        break": True,
    "for i in items:\n    for j in items:\n        {call}": True,
    "for i in {call}: pass": False,
    "for i in items:\n    pass\nelse:\n    {call}": False,
    "for i in items:\n    def later():\n        {call}": False,
    "found = ({call} for i in items)": False,
    "i = 1\n{call}": False,
}
URLS = {
    "f'https://a.example/{i}'": True,
    "f'https://{HOST}/{i}'": True,
    "f'{self.base_url}/{i}'": True,
    "f'{BASE}{i}'": True,
    "BASE + str(i)": True,
    "'https://a.example/%s' % i": True,
    "'https://a.example/{}'.format(i)": True,
    "'https://a.example', params={'page': i}": True,
    "f'https://{i}/'": False,
    "f'https://a.example{i}'": False,
    "f'{i}/x'": False,
    "'https://%s/' % i": False,
    "f'{scheme}://{i}/x'": False,
    "urljoin(BASE, i)": False,
}


@given(
    library=st.sampled_from(["requests", "httpx", "httpx2"]),
    name=st.sampled_from(["get", "post", "put", "patch", "delete", "head", "options"]),
    imported=st.sampled_from(sorted(IMPORTS)),
    loop=st.sampled_from(sorted(LOOPS)),
    url=st.sampled_from(sorted(URLS)),
)
def test_a_call_is_hinted_at_if_each_round_asks_the_same_server(**made: Any) -> None:
    library, name, loop, url = (made[key] for key in ("library", "name", "loop", "url"))
    given_by = made["imported"].format(library=library, name=name)
    call = f"{IMPORTS[made['imported']].format(library=library, name=name)}({url})"
    body = textwrap.indent(loop.format(call=call), "    ")
    source = f"{given_by}\nBASE = 'https://a.example/v1/'\ndef f(self, items, more, scheme):\n{body}\n"
    assert [hint.kind for hint in linted(source)] == [f"{library}.{name}"] * (LOOPS[loop] and URLS[url])
