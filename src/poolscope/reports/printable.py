"""Makes lines of output, without invisible characters.

Names come from servers, files and other people's processes. A character that moves the cursor, changes colours, turns
the direction of writing or is invisible is replaced by a sign of one column, so that widths still fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
UNSEEN: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0 with ESC, tab and line ends, DEL, C1
    "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # marks of direction, separators, joiners
    "\ud800-\udfff"  # halves of characters, which no encoding has
    "\U000e0000-\U000e0fff"  # tags and variation selectors
)
_UNSEEN: Final = f"[{UNSEEN}]"  # `re` keeps it once it is compiled, which takes a millisecond


def printable(text: str) -> str:
    """``text`` as a part of one line, with only visible characters."""
    return text if text.isascii() and text.isprintable() else re.sub(_UNSEEN, REPLACEMENT, text)


def page(lines: Iterable[str]) -> str:
    """Lines as one text that ends in a newline."""
    return "".join(f"{printable(line)}\n" for line in lines)


def printable_json(text: str) -> str:
    """JSON with such characters escaped; it means the same to programs."""
    return re.sub(_UNSEEN, _escaped, text)


def _escaped(found: re.Match[str]) -> str:
    if found[0] == "\n":  # JSON has it between its tokens only
        return "\n"
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
