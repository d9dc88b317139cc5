"""The same thing in urllib3's DEBUG log: "Starting new HTTP connection" for every call."""

import logging
import sys

import requests

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 5


class Counting(logging.Handler):
    started = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.started += "Starting new HTTP" in record.getMessage()


log = logging.getLogger("urllib3.connectionpool")
log.setLevel(logging.DEBUG)
handler = Counting()
log.addHandler(handler)

for _ in range(count):
    requests.get(url, timeout=10)
print(f"requests.get: {count} requests, new connections in the log: {handler.started}")

handler.started = 0
with requests.Session() as session:
    for _ in range(count):
        session.get(url, timeout=10)
print(f"Session:      {count} requests, new connections in the log: {handler.started}")
