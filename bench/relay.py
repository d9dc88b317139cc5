"""A wire with a delay: passes packets between two TUN devices, each after a pause. Needs root.

python -m bench.relay DEVICE DEVICE SECONDS
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
PACKET = 65_535


def open_device(name: str) -> int:
    """A new TUN device, which vanishes when this process ends."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return device


def relay(one: int, other: int, delay: float) -> None:
    """Pass packets on for ever, in order, each ``delay`` seconds after it came."""
    waiting: deque[tuple[float, int, bytes]] = deque()
    poll = select.epoll()
    for device in (one, other):
        poll.register(device, select.EPOLLIN)
    peers = {one: other, other: one}
    while True:
        for device, _ in poll.poll(max(waiting[0][0] - time.perf_counter(), 0.0) if waiting else 1.0):
            while (packet := _read(device)) is not None:
                waiting.append((time.perf_counter() + delay, peers[device], packet))
        while waiting and waiting[0][0] <= time.perf_counter():
            _, device, packet = waiting.popleft()
            with suppress(OSError):  # the other end is not up yet
                os.write(device, packet)


def _read(device: int) -> bytes | None:
    try:
        return os.read(device, PACKET)
    except BlockingIOError:
        return None


if __name__ == "__main__":
    first, second = map(open_device, sys.argv[1:3])
    print("up", flush=True)
    relay(first, second, float(sys.argv[3]))
