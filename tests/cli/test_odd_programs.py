"""Programs that do unusual things to their process print the same, and end the same, as without us."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Program

pytestmark = pytest.mark.processes

CALL = "import requests\nsession = requests.Session()\nprint(session.get('{url}').status_code)\n"

ODD = {
    "stderr replaced": "import io, sys\nsys.stderr = io.StringIO()\n" + CALL,
    "stderr closed": "import sys\nsys.stderr.close()\n" + CALL,
    "no stderr": "import sys\nsys.stderr = None\n" + CALL,
    "descriptor 2 is a file of its own": "import os\nos.close(2)\nown = open('own', 'w+')\n"
    + CALL
    + "own.write('mine')\nown.seek(0)\nprint(own.fileno(), own.read())\n",
    "a directory that is gone": "import os, tempfile\nplace = tempfile.mkdtemp()\nos.chdir(place)\nos.rmdir(place)\n"
    + CALL,
    "no descriptor left": CALL
    + "import resource, socket\nresource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))\nheld = []\ntry:\n"
    "    while True:\n        held.append(socket.socket())\nexcept OSError as error:\n    print(error)\n",
    "no file may grow": "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n" + CALL,
    "clocks of its own": "import time\ntime.monotonic = lambda: 5.0\ntime.time = lambda: 0.0\n" + CALL,
    "exit in a thread": CALL
    + "import sys, threading\ndef work():\n    session.get('{url}')\n    sys.exit(5)\n"
    "thread = threading.Thread(target=work)\nthread.start()\nthread.join()\nprint('still here')\n",
    "forks among threads": "import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n"
    + CALL
    + "import os, threading\nstop = threading.Event()\ndef work():\n    while not stop.is_set():\n"
    "        requests.get('{url}')\nthreads = [threading.Thread(target=work) for _ in range(3)]\n"
    "for thread in threads: thread.start()\nended = []\nfor _ in range(5):\n    pid = os.fork()\n    if pid == 0:\n"
    "        os._exit(requests.get('{url}').status_code - 200)\n    ended.append(os.waitpid(pid, 0)[1])\n"
    "stop.set()\nfor thread in threads: thread.join()\nprint(ended)\n",
    "requests in signal handlers": CALL
    + "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print(session.get('{url}').status_code))\n"
    "for _ in range(3): signal.raise_signal(signal.SIGALRM)\n",
    "a tracer": "import sys\nsys.settrace(lambda *_: None)\n" + CALL + "print(sys.gettrace() is not None)\n",
    "a recursion too deep": CALL
    + "def deeper(n):\n    return deeper(n + 1) + 1\ntry:\n    deeper(0)\nexcept RecursionError as error:\n"
    "    print(error)\nprint(session.get('{url}').status_code)\n",
    "requests patched by itself": "import requests\nsend = requests.Session.send\n"
    "def mine(self, *args, **options):\n    print('mine')\n    return send(self, *args, **options)\n"
    "requests.Session.send = mine\n" + CALL + "requests.Session.send = send\nrequests.get('{url}')\n",
    "imported twice": CALL
    + "import sys\nfor name in [n for n in sys.modules if n.startswith(('requests', 'urllib3'))]:\n"
    "    del sys.modules[name]\n" + CALL,
    "collection frozen": "import gc\ngc.freeze()\ngc.disable()\n" + CALL + "gc.collect()\ngc.freeze()\n",
}


@pytest.mark.unmeasured
@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_odd_programs_end_as_without_us(program: Program, text: str) -> None:
    program.write(text)
    bare, run = program.bare(), program.poolscope("run", "--quiet", str(program.path))
    assert (run.returncode, run.stdout, run.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert bare.stdout.startswith("200\n") or "mine" in bare.stdout


@pytest.mark.parametrize("flags", [["-W", "error"], ["-X", "dev"], ["-X", "tracemalloc"], ["-OO"], ["-I"]])
def test_an_interpreter_with_flags(program: Program, flags: list[str]) -> None:
    paths = [entry for entry in sys.path if entry]
    program.write(f"import sys\nsys.path += {paths!r}\n" + CALL + "session.close()\nprint(sys.flags)\n")
    start = f"import sys; sys.path += {paths!r}; from poolscope.cli.main import main; sys.exit(main())"
    bare, run = (
        subprocess.run(
            [sys.executable, *flags, *command, str(program.path)],
            env=program.environment(),
            cwd=program.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for command in ([], ["-c", start, "run", "--quiet"])
    )
    assert (run.returncode, run.stdout, run.stderr) == (bare.returncode, bare.stdout, bare.stderr)
    assert bare.stdout.startswith("200\n")
