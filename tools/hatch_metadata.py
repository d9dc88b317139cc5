"""What the package index shows: the project's addresses, and README.md with links that work there.

The repository's address is not in these files, as only the forge that releases knows it. It is read from
``POOLSCOPE_REPOSITORY``, an https address. A build without it has no project URLs, and the links to other
files become plain text: a missing link is better than a broken one.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)")


class IndexPage(MetadataHookInterface):
    """Called by hatchling for every build of a checkout; a build of an sdist reads what the sdist says."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in ``readme`` and ``urls``."""
        with open(os.path.join(self.root, "README.md"), encoding="utf-8") as file:
            readme = file.read()
        repository = checked(os.environ.get("POOLSCOPE_REPOSITORY", ""))
        files = f"{repository}/blob/v{metadata['version']}" if repository else None
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(readme, files)}
        metadata["urls"] = addresses(repository, files)


def checked(repository: str) -> str:
    """The address without a slash at its end; ValueError for an address that must not be published."""
    parts = urlsplit(repository)
    if repository and (parts.scheme != "https" or parts.username or parts.query or not parts.path.strip("/")):
        raise ValueError("POOLSCOPE_REPOSITORY is an https address such as https://HOST/OWNER/NAME")
    return repository.rstrip("/")


def addresses(repository: str, files: str | None) -> dict[str, str]:
    """Label → address, as the index lists them."""
    if not files:
        return {}
    return {
        "Source": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{files}/CHANGELOG.md",
        "Documentation": f"{files}/README.md#more",
    }


def absolute(markdown: str, files: str | None) -> str:
    """``markdown`` with its relative links below ``files``, or as plain text if that is None."""
    return RELATIVE_LINK.sub(rf"[\1]({files}/\2)" if files else r"\1", markdown)
