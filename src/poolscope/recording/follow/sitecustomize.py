"""Read by Python children of ``run`` where poolscope.pth is not installed.

Python imports only one sitecustomize, so this file first runs the sitecustomize that it hides.
"""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))


def _import_hidden() -> None:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec(
        "sitecustomize", [path for path in sys.path if os.path.abspath(path) != _here]
    )
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _record() -> None:
    if "POOLSCOPE_FOLLOW" in os.environ:
        try:
            from poolscope.recording.boot import activate
        except Exception:  # an interpreter without poolscope, or too old for it, is not recorded
            return
        activate()


_record()
_import_hidden()
