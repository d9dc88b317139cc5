"""Lines contain only visible characters; JSON says the same in other letters."""

from __future__ import annotations

import json
import sys
import unicodedata

from poolscope.reports.printable import page, printable, printable_json

EVERYTHING = "".join(map(chr, range(sys.maxunicode + 1)))


def test_every_control_and_format_character_is_replaced_by_one_column() -> None:
    shown = printable(EVERYTHING)
    assert len(shown) == len(EVERYTHING)
    # Visible as well: the signs of Arabic, Kaithi and others before a number, and musical and hieroglyphic layout.
    left = {
        unicodedata.name(c, hex(ord(c)))
        for c in shown
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    assert not [name for name in left if not name.startswith(SEEN)], (
        "neither a control nor a mark of direction"
    )


SEEN = (
    "ARABIC ", "SYRIAC ", "KAITHI ", "EGYPTIAN ", "SHORTHAND ", "MUSICAL ",
)  # fmt: skip


def test_visible_characters_stay() -> None:
    for text in ("plain", "naïve", "日本語", "█ ━ → ✕", "عربى", "emoji 🎉", "a b"):
        assert printable(text) == text
    assert page(["one", "two\nthree"]) == "one\ntwo�three\n"


def test_json_reads_the_same() -> None:
    value = {"text": "|".join(EVERYTHING), "list": ["\n", "\x1b", "a"]}
    written = printable_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(written) == value
    assert all(line == printable(line) for line in written.split("\n"))
