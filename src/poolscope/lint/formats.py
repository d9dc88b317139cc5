"""The formats of hints by name: the command line offers them before it loads any."""

from __future__ import annotations

from typing import Literal, TypeAlias

HintFormat: TypeAlias = Literal["text", "json", "sarif", "github", "gitlab"]
