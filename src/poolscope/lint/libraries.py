"""The names by which programs import what builds a client."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

VERBS: Final = ("delete", "get", "head", "options", "patch", "post", "put", "request")
NAMES: Final = ("requests", "httpx", "httpx2", "aiohttp", "urllib3")
_WITH_CALLS: Final = ("requests", "httpx", "httpx2")
CALLS: Final = {
    **{f"{library}.{verb}": f"{library}.{verb}" for library in _WITH_CALLS for verb in VERBS},
    **{f"requests.api.{verb}": f"requests.{verb}" for verb in VERBS},
}
"""Functions that build a client for one request, and their names in findings.

`urllib3.request` shares one; `aiohttp.request` asks the server to close, and PS101 does not count such connections.
"""
CLIENTS: Final = {
    "requests.Session": "requests.Session",
    "requests.session": "requests.Session",
    "requests.sessions.Session": "requests.Session",
    "httpx.Client": "httpx.Client",
    "httpx.AsyncClient": "httpx.AsyncClient",
    "httpx2.Client": "httpx2.Client",
    "httpx2.AsyncClient": "httpx2.AsyncClient",
    "aiohttp.ClientSession": "aiohttp.ClientSession",
    "aiohttp.client.ClientSession": "aiohttp.ClientSession",
    "urllib3.PoolManager": "urllib3.PoolManager",
    "urllib3.poolmanager.PoolManager": "urllib3.PoolManager",
}
CLOSES: Final = ("close", "aclose", "clear")


def dotted(node: ast.AST) -> str | None:
    """``a.b.c``; None for anything but names and dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


class Imports:
    """The imported meaning of a module's names; names with two meanings have none."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        self._means: dict[str, str] = {}
        others: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name, target in _imported(node):
                    if self._means.setdefault(name, target) != target:
                        others.add(name)
        for node in nodes:
            others |= _bound(node)
        for name in others:
            self._means.pop(name, None)

    def __repr__(self) -> str:
        return f"<Imports {self._means}>"

    def __bool__(self) -> bool:
        return bool(self._means)

    def meaning(self, node: ast.expr) -> str:
        """The full name of the called function; empty if it is not imported."""
        name = dotted(node)
        if name is None:
            return ""
        head, dot, rest = name.partition(".")
        return f"{self._means[head]}{dot}{rest}" if head in self._means else ""


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """(local name, full name) of imports from the libraries, and of whatever hides such a name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            # `import requests.sessions` binds `requests`.
            here = alias.asname or alias.name.partition(".")[0]
            yield here, alias.name if alias.asname else here
    else:
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            yield alias.asname or alias.name, f"{module}.{alias.name}"


def _bound(node: ast.AST) -> set[str]:
    """Names that a node binds to anything else; a fallback of None after a failed import does not count."""
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        none = isinstance(node.value, ast.Constant) and node.value.value is None
        return set() if none else {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.For | ast.AsyncFor) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return set()
