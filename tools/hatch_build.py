"""Puts the start-up files into editable installs too, as `force-include` works for real wheels only."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EditableStartUp(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for every wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to an editable wheel; the module is found in src/, like the package."""
        if version == "editable":
            for name in ("poolscope.pth", "poolscope.start"):
                build_data["force_include_editable"][os.path.join(self.root, "src", name)] = name
