"""Downloads files to disk in pieces, each read to its end, over one session."""

import hashlib
import os
import tempfile
from pathlib import Path

import requests

URL = os.environ["URL"]


def download(session: requests.Session, number: int, into: Path) -> str:
    digest = hashlib.sha256()
    target = into / f"{number}.bin"
    with (
        session.get(f"{URL}/size/300000/{number}", stream=True, timeout=5) as answer,
        target.open("wb") as file,
    ):
        answer.raise_for_status()
        for piece in answer.iter_content(65536):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


with tempfile.TemporaryDirectory() as folder, requests.Session() as session:
    assert len({download(session, n, Path(folder)) for n in range(15)}) == 1
