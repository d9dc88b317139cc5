"""Which segments of a URL's path look like secrets: like keys and tokens instead of names.

The rule has a length, an alphabet and a measure of disorder: the share of neighbouring characters that do not go
together. Letters go together as they do in the words of paths, digits do with digits; a letter beside a digit does
not. So identifiers that nobody can guess (UUIDs, digests) are hidden as well: nothing distinguishes them from keys,
and some are keys. Numbers, dates, slugs and names in camel case are not. Shorter segments cannot be distinguished
from names, and stay.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

SHORTEST: Final = 16
"""A segment of at least this many characters may be a token: 64 bits in hexadecimal."""
LONGEST_NUMBER: Final = 20
"""Digits of the largest 64-bit number; a longer one counts nothing."""
DISORDER: Final = 0.35
"""A segment is a token if at least this share of its neighbours do not go together."""
DISORDER_OF_LETTERS: Final = 0.42
"""The same for letters only: names made of three words are rather disordered."""
HUMP: Final = 0.5
"""The disorder of a capital after a small letter: camel case has some."""
ABBREVIATION: Final = 5
"""A run of at most this many letters may be as odd as it likes: xhtml, svg."""
HIDDEN: Final = "…"

_FOLLOWERS: Final = {
    "a": "bcdegiklmnprstuvwy", "b": "aeilorsu", "c": "acehiklorstuy", "d": "adeiorsu", "e": "acdeflmnpqrstvwxy",
    "f": "aefiloru", "g": "aeghilnorsu", "h": "aeiortu", "i": "abcdefglmnoprstvz", "j": "eu", "k": "eis",
    "l": "adeiloptuvy", "m": "aeimopu", "n": "acdefgiklnostu", "o": "abcdfgiklmnoprstuvw", "p": "aehiloprstu",
    "q": "u", "r": "aceiklmnorstuy", "s": "acehiklmopstuwy", "t": "acehiloprstuy", "u": "abcdegilmnprst",
    "v": "aeio", "w": "aehio", "x": "ceipt", "y": "nps", "z": "ei",
}  # fmt: skip
"""Letter → those behind it that make up 93 % of the pairs in the words of source code and URLs."""

_RUN: Final = re.compile(r"[A-Za-z0-9]+")
_PLAIN: Final = re.compile(r"[A-Za-z]+[0-9]{0,4}|[0-9]{1,4}[A-Za-z]{1,3}|[0-9]+")
"""A word, a number, or a short number with a word: page12, 2nd."""
_HEXADECIMAL: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Fa-f])(?:[0-9a-f]+|[0-9A-F]+)")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_KNOWN: Final = re.compile(
    r"(?:sk|pk|rk)[-_](?:live|test|proj|ant)|gh[opsur]_|github_pat_|glpat-|xox[abeprs]-|AKIA|ASIA|AIza|eyJ|SG\.|hf_"
    r"|npm_|pypi-AgE|dop_v1_|shp(?:at|ss)_|bot[0-9]{6,}:"
)
"""How the keys of well-known services begin."""
_USERINFO: Final = re.compile(r"[^/@]*:[^/@]+@")


def hide_tokens(path: str) -> str:
    """``path`` with `HIDDEN` for every segment that looks like a secret, and for the values of parameters."""
    if len(path) < SHORTEST and ":" not in path and ";" not in path:
        return path
    return "/".join(map(_shown, path.split("/")))


def _shown(segment: str) -> str:
    name, *parameters = segment.split(";")
    shown = HIDDEN if is_token(name) else _USERINFO.sub(f"{HIDDEN}@", name)
    return ";".join([shown, *map(_parameter, parameters)])


def _parameter(text: str) -> str:
    name, equals, _ = text.partition("=")
    return f"{HIDDEN if is_token(name) else name}{equals and f'={HIDDEN}'}"


def is_token(segment: str) -> bool:
    """Whether a segment of a path, or a name, looks like a secret."""
    if len(segment) < SHORTEST:
        return False
    text = segment
    if "%" in segment:
        from urllib.parse import unquote  # takes milliseconds, and a program that sends nothing needs none

        text = unquote(segment)
    if _KNOWN.match(text) or _UUID.search(text) or ("://" in text and _USERINFO.search(text)):
        return True
    runs = _RUN.findall(text)
    return any(map(_is_random, runs)) or _are_random(runs)


def _is_random(run: str) -> bool:
    if len(run) < SHORTEST:
        return False
    if run.isdigit():
        return len(run) > LONGEST_NUMBER
    if _HEXADECIMAL.fullmatch(run):
        return True
    return _disorder(run) >= (DISORDER_OF_LETTERS if run.isalpha() else DISORDER) * (len(run) - 1)


def _are_random(runs: list[str]) -> bool:
    """Whether short runs between separators are a token: in disorder, and mostly neither words nor numbers."""
    length = sum(map(len, runs))
    odd = sum(len(run) for run in runs if not _PLAIN.fullmatch(run) or _is_no_word(run))
    disorder = sum(map(_disorder, runs))
    return 2 * odd > length and disorder >= DISORDER * (length - len(runs))


def _is_no_word(run: str) -> bool:
    return len(run) > ABBREVIATION and _disorder(run) > len(run) / 2


def _disorder(run: str) -> float:
    return sum(_strangeness(first, second) for first, second in pairwise(run))


def _strangeness(first: str, second: str) -> float:
    """How badly two neighbours go together: 0.0 as in words and numbers, 1.0 not at all."""
    if first.isdigit() or second.isdigit():
        return float(first.isdigit() != second.isdigit())
    if first.islower() and second.isupper():
        return HUMP
    return float(second.lower() not in _FOLLOWERS[first.lower()])
