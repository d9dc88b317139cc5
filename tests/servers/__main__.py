"""A truth server in a process of its own: ``python -m tests.servers CONFIG``, spoken to over stdin/stdout.

It says its port on the first line. Then each line asked (``log``) is answered by one line of JSON. The
end of stdin ends it, so it cannot outlive the test that started it.
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
        print(json.dumps(listener.log.to_plain()), flush=True)
    await listener.stop()


# A client that gives up in the handshake is no event here; asyncio would print a traceback for each.
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda _loop, _context: None)
loop.run_until_complete(main())
