"""A truth server in its own process: ``python -m tests.servers CONFIG``, controlled over stdin and stdout.

Its first line is its port. Then it answers each line that it reads (``log``) with one line of JSON. It stops at
the end of stdin, so it cannot outlive the test that started it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys

from tests.servers.config import ServerConfig
from tests.servers.listener import Listener


async def main() -> None:
    listener = Listener(ServerConfig.from_json(sys.argv[1]))
    await listener.start()
    gc.freeze()
    print(json.dumps(listener.port), flush=True)
    questions = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    while await questions.readline():
        print(json.dumps(await listener.seen()), flush=True)
    await listener.stop()


# Clients that give up in the handshake are normal here; asyncio would print a traceback for each.
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda _loop, _context: None)
loop.run_until_complete(main())
