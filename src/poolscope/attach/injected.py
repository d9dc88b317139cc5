"""The script that the attached process runs: it starts a thread and ends. The interpreter runs it in the main thread,
in its own namespace. It prints and raises nothing: errors are reported to the attaching side, over its socket.
"""

from __future__ import annotations

import json
from typing import Any, Final

SCRIPT: Final = """
def begin(settings):
    import os, signal, sys
    from importlib.util import find_spec, module_from_spec, spec_from_file_location

    def fresh(name):  # another instance of a module in C, which gevent has not changed
        spec = find_spec(name)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def bring():
        if "poolscope" not in sys.modules and find_spec("poolscope") is None:
            home = settings["home"]
            place = os.path.join(home, "__init__.py")
            spec = spec_from_file_location("poolscope", place, submodule_search_locations=[home])
            sys.modules["poolscope"] = module = module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules["poolscope"]
                raise
        import poolscope
        if poolscope.__version__ != settings["version"]:
            raise RuntimeError(f"it has poolscope {poolscope.__version__}, and this is {settings['version']}: use the same version")

    def work():
        try:
            import _socket
            connected = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            connected.connect(settings["socket"])
        except BaseException:
            return  # nobody waits any more
        try:
            bring()
            from poolscope.attach.inside import visit
            visit(connected, settings)
        except BaseException as error:
            import json
            try:
                connected.send(json.dumps({"trouble": f"{type(error).__name__}: {error}"}).encode() + b"\\n")
            except BaseException:
                pass
        finally:
            connected.close()

    try:
        os.unlink(settings["script"])
        if not os.path.exists(settings["socket"]):
            os.rmdir(os.path.dirname(settings["script"]))
    except OSError:
        pass
    if not os.path.exists(settings["socket"]):
        return  # nobody waits any more
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        fresh("_thread").start_new_thread(work, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

try:
    begin(SETTINGS)
except BaseException:
    pass
"""


def script(settings: dict[str, Any]) -> str:
    """The whole script, with its settings as a literal."""
    return f"SETTINGS = __import__('json').loads({json.dumps(settings)!r})\n{SCRIPT}"
