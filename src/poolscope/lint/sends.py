"""Where a module builds a client for a single request: by one call, or by a client that is used once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from poolscope.lint.credentials import credentials
from poolscope.lint.flow import Flow
from poolscope.lint.libraries import CALLS, CLIENTS, CLOSES, VERBS
from poolscope.lint.tree import Tree

URL_FIRST: Final = frozenset(VERBS) - {"request"}
SETTINGS: Final = frozenset(("auth", "cert", "cookies", "headers", "proxies", "proxy", "verify"))
"""Arguments that make two requests differ, so that no client could send both."""
PAYLOAD: Final = frozenset(("content", "data", "fields", "json", "params", "url"))
OF_CLIENTS: Final = SETTINGS - {"proxies", "proxy"} | frozenset(
    "base_url follow_redirects http1 http2 limits max_redirects maxsize num_pools params raise_for_status "
    "retries timeout trust_env".split()
)
"""Arguments that a client may be built with; others (transports, connectors, hooks) may have a reason."""
HARMLESS: Final = frozenset(
    ("follow_redirects", "limits", "max_redirects", "raise_for_status", "retries", "timeout")
)


@dataclass(slots=True)
class Send:
    """A client is built at ``built``, and ``call`` sends its only request."""

    kind: str
    built: ast.Call
    call: ast.Call

    @property
    def is_one_call(self) -> bool:
        """Whether one function of the library does both."""
        return self.built is self.call

    def url(self) -> ast.expr | None:
        """The requested address; None if it cannot be read."""
        name = self.kind.partition(".")[2] if self.is_one_call else _method(self.call)
        place = 0 if name in URL_FIRST else 1
        given = next((each.value for each in self.call.keywords if each.arg == "url"), None)
        return self.call.args[place] if len(self.call.args) > place else given

    def can_be_read(self) -> bool:
        """Whether nothing is hidden in ``*args`` or ``**kwargs``, and nothing prevents keep-alive."""
        calls = [self.built, self.call]
        if any(isinstance(argument, ast.Starred) for call in calls for argument in call.args):
            return False
        keywords = [keyword for call in calls for keyword in call.keywords]
        if any(
            keyword.arg in (None, "stream", "preload_content") or _closes(keyword.value)
            for keyword in keywords
        ):
            return False
        return self.is_one_call or not (
            self.built.args or {keyword.arg for keyword in self.built.keywords} - OF_CLIENTS
        )

    def has_one_server(self, flow: Flow) -> bool:
        """Whether it certainly asks the same server each time, as the same client."""
        url = self.url()
        base = next((each.value for each in self.built.keywords if each.arg == "base_url"), None)
        if url is None or not self._is_one_client(flow):
            return False
        if base is not None:
            return flow.has_one_server(base) and isinstance(url, ast.Constant | ast.JoinedStr)
        return flow.has_one_server(url)

    def _is_one_client(self, flow: Flow) -> bool:
        settings = [each.value for each in self.call.keywords if each.arg in SETTINGS]
        if not self.is_one_call:
            settings += [each.value for each in self.built.keywords if each.arg not in HARMLESS]
        for part in self.payload():
            settings += credentials(flow.made_of(part))
        return all(flow.is_fixed(value) for value in settings)

    def payload(self) -> list[ast.expr]:
        """What makes a request differ from the previous one."""
        named = [each.value for each in self.call.keywords if each.arg in PAYLOAD]
        return [*self.call.args, *named]


def sends(tree: Tree) -> Iterator[Send]:
    """The single requests of a module, in any order."""
    for node in tree.nodes:
        if not isinstance(node, ast.Call):
            continue
        meaning = tree.imports.meaning(node.func)
        if meaning in CALLS:
            yield Send(CALLS[meaning], node, node)
        elif meaning in CLIENTS:
            call = _only_request(node, tree)
            if call is not None:
                yield Send(CLIENTS[meaning], node, call)


def _only_request(built: ast.Call, tree: Tree) -> ast.Call | None:
    """The only call on a client; None if it is used otherwise."""
    whole = next(tree.above(built), None)
    if isinstance(whole, ast.Attribute):
        return _request(whole, tree)
    if isinstance(whole, ast.withitem) and isinstance(whole.optional_vars, ast.Name):
        block = next(tree.above(whole))
        return _of_name(whole.optional_vars, block, built, tree)
    if isinstance(whole, ast.Assign) and len(whole.targets) == 1 and isinstance(whole.targets[0], ast.Name):
        return _of_name(whole.targets[0], tree.scope(built), built, tree)
    return None


def _of_name(target: ast.Name, block: ast.AST, built: ast.Call, tree: Tree) -> ast.Call | None:
    """The same for a client that is bound to a name in a block."""
    if isinstance(block, ast.Module | ast.ClassDef):
        return None
    names = [node for node in ast.walk(block) if isinstance(node, ast.Name) and node.id == target.id]
    others = [node for node in names if node is not target and not _is_closed(node, tree)]
    if len(others) != 1 or _is_shared(target.id, block):
        return None
    above = next(tree.above(others[0]))
    call = _request(above, tree) if isinstance(above, ast.Attribute) else None
    if call is None or tree.scope(call) is not tree.scope(built) or tree.loops(call) != tree.loops(built):
        return None
    return call


def _is_closed(name: ast.Name, tree: Tree) -> bool:
    above = next(tree.above(name))
    return isinstance(above, ast.Attribute) and above.attr in CLOSES


def _is_shared(name: str, block: ast.AST) -> bool:
    """Whether the name belongs to a wider scope, which outlives the block."""
    return any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in ast.walk(block))


def _request(method: ast.Attribute, tree: Tree) -> ast.Call | None:
    call = next(tree.above(method), None)
    if method.attr in VERBS and isinstance(call, ast.Call) and call.func is method:
        return call
    return None


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _closes(value: ast.expr) -> bool:
    """Whether it sends ``Connection: close``."""
    texts = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return any(isinstance(text, str) and text.lower() == "connection" for text in texts)
