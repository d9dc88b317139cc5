"""Hooks each library: at once if it is imported already, else right after its import.

A library that is not installed or never imported costs nothing. The import hook is one finder at the
head of `sys.meta_path` that only looks at the names it waits for; `Activation.stop` removes it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from poolscope.libraries.guard import guard, hide_frame
from poolscope.libraries.known import LIBRARIES
from poolscope.libraries.weaver import WEAVER
from poolscope.story.sight import SIGHT


class Activation:
    """Which libraries are woven, and which still wait for their import."""

    def __init__(self, client_comes: Callable[[], None] | None = None) -> None:
        """``client_comes`` is called right before a library that makes requests is woven."""
        self._client_comes = client_comes
        self._seen: list[ModuleType] = []
        self._finder: _Finder | None = None
        self._for_some = False
        """Whether only chosen objects are observed."""

    def __repr__(self) -> str:
        return f"<Activation of {', '.join(m.__name__ for m in self._seen) or 'nothing yet'}>"

    def start(self) -> None:
        """Observe all objects: weave every imported library, and wait for the others."""
        SIGHT.opens()
        self._finder = _Finder(LIBRARIES, self.install)
        sys.meta_path.insert(0, self._finder)
        for name in LIBRARIES:
            self._install_if_complete(name)

    def observe_some(self, *packages: str) -> None:
        """Weave these libraries for chosen (marked) objects only."""
        self._for_some = True
        for name in LIBRARIES:
            if name.partition(".")[0] in packages:
                self._install_if_complete(name)

    def _install_if_complete(self, name: str) -> None:
        module = sys.modules.get(name)
        # A half-imported library is left to the finder's loader: it is not complete yet.
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            self.install(name, module)

    def install(self, name: str, module: ModuleType) -> None:
        """Weave ``module``, once per module object: ``httpx2.alias_httpx()`` lets one answer to two names."""
        if not any(seen is module for seen in self._seen):
            self._seen.append(module)
            if self._client_comes is not None and LIBRARIES[name].tested is not None:
                _announce(self._client_comes)
            _install(name, module)

    def stop(self) -> None:
        """Observe only marked objects, if there are any; else restore the methods that are still poolscope's."""
        SIGHT.closes()
        if self._finder is not None and self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._finder = None
        if not self._for_some:
            self._restore()

    def forget_some(self) -> None:
        """Stop observing chosen objects."""
        self._for_some = False
        SIGHT.forgets_some()
        if not SIGHT.everybody:
            self._restore()

    def _restore(self) -> None:
        self._seen.clear()
        WEAVER.restore()


@guard("announce")
def _announce(client_comes: Callable[[], None]) -> None:
    client_comes()


@guard("install")
def _install(name: str, module: ModuleType) -> None:
    home = importlib.import_module(LIBRARIES[name].hooks)
    WEAVER.weave(home.points(module), module)


class _Finder:
    """A meta path finder by its methods; the base class would load importlib.resources, 8 ms."""

    def __init__(self, names: Iterable[str], imported: Callable[[str, ModuleType], None]) -> None:
        self._names = frozenset(names)
        self._imported = imported
        self._looking: set[str] = set()

    def find_spec(self, fullname: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if fullname not in self._names or fullname in self._looking:
            return None
        self._looking.add(fullname)
        try:
            spec = find_spec(fullname)
        except (ImportError, ValueError):
            return None
        finally:
            self._looking.discard(fullname)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            loader: Any = _Loader(spec.loader, fullname, self._imported)
            spec.loader = loader
        return spec


class _Loader:
    """The library's own loader, followed by our hooks."""

    def __init__(self, loader: Any, name: str, imported: Callable[[str, ModuleType], None]) -> None:
        self._loader = loader
        self._name = name
        self._imported = imported

    def __getattr__(self, name: str) -> Any:  # get_source, get_data, is_package, …: the real one's
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        # The module must carry its real loader: importlib.resources and pkgutil look there.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        try:
            self._loader.exec_module(module)
        except BaseException as error:
            # Python leaves the import system out of tracebacks only if no other frame is in between.
            hide_frame(error)
            raise
        self._imported(self._name, module)
