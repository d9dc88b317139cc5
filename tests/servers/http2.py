"""The HTTP/2 truth server: one connection, many streams, the same log with stream ids.

Paths: ``/slow/50/…`` answers after 50 milliseconds, ``/held/…`` when the test lets it go,
``/goaway/…`` answers and then sends GOAWAY,
``/rst/…`` resets the stream, ``/silence/…`` never answers, ``/redirect/…`` redirects to the rest of the path,
``/drop/…`` closes the connection, ``/half/…`` resets the stream within the body, ``/cut/…`` sends GOAWAY and closes
there, ``/refuse/…`` answers a request with GOAWAY alone, ``/hints/…`` and ``/trailers/…`` have more than
one block of fields. Everything else is answered at once.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, RequestReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from tests.servers.config import ServerConfig
from tests.servers.gate import shut, until_let_go
from tests.servers.log import SeenConnection, SeenRequest
from tests.servers.wire import PEER_GONE

BODY = b"ok over two"


class Http2:
    """Serves HTTP/2 with prior knowledge or by ALPN."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: SeenConnection
    ) -> None:
        await _Session(self.config, reader, writer, seen).run()


class _Session:
    def __init__(
        self,
        config: ServerConfig,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seen: SeenConnection,
    ) -> None:
        self.reader, self.writer, self.seen = reader, writer, seen
        self.close_after = config.close_after
        self.streams = config.streams
        self.gone = False
        """Whether GOAWAY was sent; from then on, new streams are ignored."""
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.answers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self.h2.initiate_connection()
        if self.streams is not None:
            self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self.streams})
        self.flush()
        try:
            while data := await self.reader.read(65536):
                if self.gone:
                    continue
                for event in self.h2.receive_data(data):
                    self.take(event)
                self.flush()
            self.seen.end("client")
        except (ProtocolError, *PEER_GONE):
            self.seen.end("client")
        finally:
            for answer in self.answers:
                answer.cancel()
            self.writer.close()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers}
            request = self.seen.request(headers[":method"], headers[":path"], event.stream_id)
            shut(request.path)
            answer = asyncio.ensure_future(self.answer(request, event.stream_id))
            self.answers.add(answer)
            answer.add_done_callback(self.answers.discard)
        elif isinstance(event, DataReceived):
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            self.seen.end("client")

    async def answer(self, request: SeenRequest, stream_id: int) -> None:
        behaviour, _, rest = request.path.lstrip("/").partition("/")
        if behaviour == "silence":
            return
        if behaviour == "slow":
            await asyncio.sleep(int(rest.partition("/")[0]) / 1000)
        if behaviour == "held":
            await until_let_go(request.path)
        if behaviour == "drop":
            self.seen.end("server: closed without answer")
            self.writer.close()
            return
        request.answered_at = None if behaviour == "refuse" else perf_counter()
        try:
            if behaviour == "rst":
                self.h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            elif behaviour == "redirect":
                self.h2.send_headers(
                    stream_id, [(":status", "302"), ("location", f"/{rest}")], end_stream=True
                )
            elif behaviour == "refuse":
                self.say_goaway(stream_id - 2)
            elif behaviour in ("half", "cut"):
                self.h2.send_headers(stream_id, [(":status", "200"), ("content-length", "1000")])
                self.h2.send_data(stream_id, BODY)
                if behaviour == "half":
                    self.h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
                else:
                    self.say_goaway(stream_id)
            elif behaviour == "trailers":
                self.h2.send_headers(stream_id, [(":status", "200")])
                self.h2.send_data(stream_id, BODY)
                self.h2.send_headers(stream_id, [("digest", "9a")], end_stream=True)
            else:
                if behaviour == "hints":
                    self.h2.send_headers(stream_id, [(":status", "103"), ("link", "</style.css>")])
                self.h2.send_headers(stream_id, [(":status", "200"), ("content-length", str(len(BODY)))])
                self.h2.send_data(stream_id, BODY, end_stream=True)
        except ProtocolError:  # the client gave the stream up while the answer was being made
            request.answered_at = None
            return
        done = self.close_after is not None and request.number >= self.close_after
        if (behaviour == "goaway" or done) and self.seen.ended is None:
            self.say_goaway(stream_id)
        self.flush()
        if behaviour == "cut":
            self.writer.close()

    def say_goaway(self, last_stream: int) -> None:
        """Answers no stream after ``last_stream``."""
        self.gone = True
        self.seen.end("server: goaway")
        self.h2.close_connection(last_stream_id=last_stream)
