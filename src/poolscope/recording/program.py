"""The program that `run` runs: found and checked before anything is started, then run as Python would."""

from __future__ import annotations

import builtins
import os
import sys
from importlib.machinery import BuiltinImporter, PathFinder, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType
from typing import Any, Final

from poolscope.recording.errors import UsageError
from poolscope.recording.options import Options


def check(options: Options) -> None:
    """UsageError if there is no such program; none of it is executed to find out."""
    if options.module is not None:
        _check_module(options.module)
    elif options.code is None and options.arguments[0] != "-":
        _check_script(options.arguments[0])


def _check_script(path: str) -> None:
    if os.path.isdir(path):
        if not os.path.exists(os.path.join(path, "__main__.py")):
            raise UsageError(f"can't find a __main__.py in the directory {path!r}")
        return
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UsageError(f"can't open {path!r}: {error.strerror}") from None


def _check_module(name: str) -> None:
    """Looks for the module's file without importing its packages: their code runs in the program only."""
    if name.startswith(".") or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is not a module name; -m takes one as in 'import'")
    if name in sys.builtin_module_names:
        return
    search: list[str] | None = [_working_folder(), *sys.path] if not sys.flags.safe_path else list(sys.path)
    parts = name.split(".")
    for depth, _ in enumerate(parts, 1):
        qualified = ".".join(parts[:depth])
        spec = _find(qualified, search)
        if spec is None:
            raise UsageError(f"no module named {qualified!r} beside poolscope, in {sys.prefix}")
        search = (
            list(spec.submodule_search_locations) if spec.submodule_search_locations is not None else None
        )
        if search is None and depth < len(parts):
            raise UsageError(f"no module named {name!r}: {qualified!r} is not a package")
    if search is not None and _find(f"{name}.__main__", search) is None:
        raise UsageError(f"{name!r} is a package without a __main__ and cannot be run")


def _find(qualified: str, search: list[str] | None) -> Any:
    # Other import hooks (editable installs, zip files, frozen modules) may find what is not on the path.
    finders: list[Any] = [PathFinder, *sys.meta_path]
    for finder in finders:
        try:
            spec = finder.find_spec(qualified, search)
        except (ImportError, AttributeError, ValueError):
            continue
        if spec is not None:
            return spec
    return None


def name_of(options: Options) -> str:
    """The program's name, without its arguments: they may hold secrets."""
    if options.module is not None:
        return options.module
    return "-c" if options.code is not None else os.path.basename(options.arguments[0].rstrip("/"))


_launchers: Final[list[ModuleType]] = []
"""The ``__main__`` that started us, kept to the end: its frames still run in it, and CPython (3.11 to 3.13) writes
into its dictionary once more after an uncaught exception was shown, whether or not it still exists."""


class Main:
    """The program's ``__main__``, ready to be executed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        _launchers.append(sys.modules["__main__"])
        self.module = _main_module()

    def execute(self) -> None:
        """Run the program to its end; its exceptions still carry our frames."""
        sys.modules["__main__"] = self.module
        options = self._options
        if options.module is not None:
            self._run_module(options.module, _working_folder(), ["-m", *options.arguments], alter_argv=True)
        elif options.code is not None:
            _set_first_path("")
            sys.argv[:] = ["-c", *options.arguments]
            self.module.__loader__ = BuiltinImporter
            _remember_source(options.code)
            self._exec(compile(options.code, "<string>", "exec", dont_inherit=True))
        else:
            self._run_script(options.arguments[0])

    def _run_script(self, path: str) -> None:
        sys.argv[:] = self._options.arguments
        if path == "-":
            _set_first_path("")
            self.module.__loader__ = BuiltinImporter
            self._exec_file(compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True), "<stdin>")
        elif os.path.isdir(path) or _is_archive(path):
            self._run_module("__main__", _absolute(path), self._options.arguments, alter_argv=False)
        else:
            _set_first_path(os.path.dirname(os.path.realpath(path)))
            path = _absolute(path)
            loader = SourcelessFileLoader if path.endswith(".pyc") else SourceFileLoader
            self.module.__loader__ = loader("__main__", path)
            self._exec_file(_code_of(path), path)

    def _run_module(self, name: str, first_path: str, argv: list[str], *, alter_argv: bool) -> None:
        import runpy

        _set_first_path(first_path)
        sys.argv[:] = argv
        # What ``python -m`` itself calls; it reads sys.modules["__main__"] and shows the same frames.
        runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]

    def _exec_file(self, code: CodeType, path: str) -> None:
        vars(self.module).update(__file__=path, __cached__=None)
        self._exec(code)
        self.forget_file()

    def forget_file(self) -> None:
        """Clean up as Python does after a script or its uncaught exception, before any atexit handler."""
        if self._options.module is None and self._options.code is None and self.module.__spec__ is None:
            for name in ("__file__", "__cached__"):
                vars(self.module).pop(name, None)

    def _exec(self, code: CodeType) -> None:
        exec(code, self.module.__dict__)  # noqa: S102  (running programs is the job)


def _main_module() -> ModuleType:
    module = ModuleType("__main__")
    vars(module).update(__annotations__={}, __builtins__=builtins)
    return module


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # deleted: Python finds no module there either
        return ""


def _set_first_path(path: str) -> None:
    """What Python put first on sys.path was meant for us; the program gets its own."""
    if not sys.flags.safe_path and sys.path:
        sys.path[0] = path


def _absolute(path: str) -> str:
    """As Python makes it: neither shortened nor resolved, and unchanged if the current folder is unknown."""
    try:
        return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    except OSError:
        return path


def _is_archive(path: str) -> bool:
    if path.endswith((".py", ".pyc")):
        return False
    import zipfile

    return zipfile.is_zipfile(path)


def _code_of(path: str) -> CodeType:
    with open(path, "rb") as file:
        if path.endswith(".pyc"):
            import pkgutil

            code: CodeType | None = pkgutil.read_code(file)
            if code is None:
                raise UsageError(f"{path!r} was compiled by another version of Python")
            return code
        source = file.read()
    return compile(source, path, "exec", dont_inherit=True)


def _remember_source(code: str) -> None:
    """From 3.13 on Python shows the lines of ``-c`` in tracebacks; they come from here."""
    if sys.version_info >= (3, 13):
        import linecache

        lines = [line + "\n" for line in code.splitlines()]
        linecache.cache["<string>"] = (len(code), None, lines, "<string>")
