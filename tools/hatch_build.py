"""Puts poolscope.pth into editable installs too: `force-include` serves real wheels only."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EditablePth(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for every wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file when the wheel is an editable one."""
        if version == "editable":
            source = os.path.join(self.root, "src", "poolscope.pth")
            build_data["force_include_editable"][source] = "poolscope.pth"
