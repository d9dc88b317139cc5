"""A parcel: an answer with a body that is unpacked piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shuttle._line import Broken, Line

Home = Callable[[Line, bool], None]
"""Brings a line home: whether another parcel may have it."""


class Parcel:
    """Iterate over it, `unpack` it whole, or `refuse` it, which costs its line."""

    def __init__(self, line: Line, home: Home) -> None:
        self._line: Line | None = line
        self._home = home
        version, _, rest = line.take().decode("latin-1").strip().partition(" ")
        if not version.startswith("HTTP/1."):
            raise Broken(f"not HTTP: {version!r}")
        self.version = version[5:]
        self.status = int(rest[:3])
        self.labels: dict[str, str] = {}
        while text := line.take().decode("latin-1").strip():
            name, _, value = text.partition(":")
            self.labels[name.strip().lower()] = value.strip()
        wish = self.labels.get("connection", "keep-alive" if self.version == "1.1" else "close").lower()
        self.lasts = wish != "close"
        self._pieces = self._body(line)

    def _body(self, line: Line) -> Iterator[bytes]:
        if self.status in (204, 304):
            return
        if self.labels.get("transfer-encoding") == "chunked":
            while size := int(line.take().split(b";")[0], 16):
                yield from self._counted(line, size)
                line.take()
            while line.take().strip():
                pass
        elif "content-length" in self.labels:
            yield from self._counted(line, int(self.labels["content-length"]))
        else:
            self.lasts = False
            try:
                while True:
                    yield line.take(65536)
            except Broken as error:
                if error.__cause__ is not None:
                    raise

    def _counted(self, line: Line, left: int) -> Iterator[bytes]:
        while left:
            piece = line.take(min(left, 65536))
            left -= len(piece)
            yield piece

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except BaseException:
            self.refuse()
            raise
        self._part(self.lasts)

    def unpack(self) -> bytes:
        return b"".join(self)

    def refuse(self) -> None:
        self._part(False)

    def _part(self, lasts: bool) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._home(line, lasts)

    def __enter__(self) -> Parcel:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
