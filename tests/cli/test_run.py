"""``poolscope run`` leaves the program as it is: what it sees, what it prints, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from poolscope import records
from tests.cli.conftest import POOLSCOPE, SOURCE, Program
from tests.cli.recorded import over
from tests.cli.waiting import eventually, read_until

pytestmark = pytest.mark.processes

WORLD = """
import sys
print(sys.argv, __name__, __file__, __spec__, __package__, __doc__, sys.path[0], sys.stdin.read())
print(type(__loader__).__name__, __builtins__.__name__, sorted(vars(sys.modules["__main__"])))
import threading
print([t.name for t in threading.enumerate()], sys.excepthook is sys.__excepthook__)
"""


def test_a_script_finds_its_world_as_python_makes_it(program: Program) -> None:
    program.write(WORLD)
    bare = program.bare("one", "--two", input="what stdin said")
    run = program.run(arguments=("one", "--two"), input="what stdin said")
    assert (run.stdout, run.returncode) == (bare.stdout, bare.returncode)


def test_a_module_runs_as_with_python_m(program: Program) -> None:
    package = program.directory / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import sys; print(sys.argv, __spec__.name, __package__, sys.path[0])"
    )
    command = ["-m", "package", "-x", "y"]
    bare = subprocess.run(
        [sys.executable, *command], cwd=program.directory, capture_output=True, text=True, check=True
    )
    run = program.poolscope("run", "--quiet", *command)
    assert (run.stdout, run.stderr, run.returncode) == (bare.stdout, "", 0)


def test_code_runs_as_with_python_c(program: Program) -> None:
    code = "import sys; print(sys.argv, __name__, sys.path[0]); 1/0"
    bare = subprocess.run(
        [sys.executable, "-c", code, "x"], cwd=program.directory, capture_output=True, text=True, check=False
    )
    run = program.poolscope("run", "--quiet", "-c", code, "x")
    assert (run.stdout, run.stderr, run.returncode) == (bare.stdout, bare.stderr, bare.returncode)


def test_a_directory_and_an_archive_run(program: Program) -> None:
    import zipfile

    directory = program.directory / "application"
    directory.mkdir()
    (directory / "__main__.py").write_text("import helper; print(helper.NAME, __name__)")
    (directory / "helper.py").write_text("NAME = 'from beside'")
    archive = program.directory / "application.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("__main__.py", "helper.py"):
            file.write(directory / name, name)
    for target in (directory, archive):
        assert program.poolscope("run", "--quiet", str(target)).stdout == "from beside __main__\n"


ENDINGS = {
    "falls off the end": "",
    "exit code": "import sys; sys.exit(3)",
    "exit message": "import sys; sys.exit('no luck')",
    "exception": "def inner():\n    raise ValueError('what happened')\ninner()",
    "chained": "try:\n    1/0\nexcept ZeroDivisionError as error:\n    raise KeyError('x') from error",
    "interrupt": "raise KeyboardInterrupt",
    "os._exit": "import os; os._exit(5)",
    "own excepthook": "import sys\nsys.excepthook = lambda *a: print('mine', a[0], a[2].tb_next)\n1/0",
    "raising excepthook": "import sys\ndef hook(*a):\n    raise TypeError\nsys.excepthook = hook\n1/0",
    "syntax": "def (",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "thread": "import threading\ndef work():\n    1/0\nt = threading.Thread(target=work); t.start(); t.join()",
    "atexit": "import atexit; atexit.register(print, 'bye')",
    "exec": "import os; os.execv('/bin/echo', ['echo', 'replaced'])",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_it_ends_as_without_us(program: Program, ending: str) -> None:
    program.write(ending)
    bare, run = program.bare(), program.run("--quiet")
    assert run.returncode == bare.returncode
    assert run.stdout == bare.stdout
    assert run.stderr == bare.stderr


STARTER = """
import sys, weakref
from poolscope.cli.main import main
def gone(_, over=sys.is_finalizing, write=sys.stderr.write):
    if not over():
        write("the interpreter is going to use what was freed")
sys.watching = weakref.ref(sys.modules["__main__"], gone)
sys.exit(main())
"""


@pytest.mark.parametrize("ending", ["syntax", "exception", "falls off the end"])
def test_it_ends_as_without_us_when_started_by_a_script_like_the_installed_command(
    program: Program, ending: str
) -> None:
    program.write(ENDINGS[ending])
    command = program.directory / "poolscope"
    command.write_text(STARTER)
    run = subprocess.run(
        [sys.executable, command, "run", "--quiet", program.path],
        env=program.environment(),
        cwd=program.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    bare = program.bare()
    assert (run.returncode, run.stdout, run.stderr) == (bare.returncode, bare.stdout, bare.stderr)


REQUESTS = """
import requests
with requests.Session() as session:
    for _ in range(3):
        session.get("{url}")
"""


@pytest.mark.parametrize(
    ("ending", "exit_code"),
    [
        ("", 0),
        ("import sys; sys.exit(3)", 3),
        ("1/0", 1),
        ("raise KeyboardInterrupt", -2),
        ("import os; os._exit(7)", 7),
        ("import os; os.kill(os.getpid(), 15)", -15),
    ],
)
def test_the_report_is_true_however_the_program_ends(
    program: Program, accepted: Callable[[], int], ending: str, exit_code: int
) -> None:
    run = program.write(REQUESTS + ending).run()
    assert "requests.Session" in run.stderr
    summary = program.summary()
    assert (summary.exit_code, summary.requests, summary.connections) == (exit_code, 3, accepted())
    assert accepted() == 1


def test_ctrl_c_reports_and_dies_by_sigint(program: Program) -> None:
    program.write(REQUESTS + "print('ready', flush=True)\nimport time\ntime.sleep(60)")
    with program.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in stderr
    assert "3 requests" in stderr
    assert program.summary().requests == 3


def test_a_handler_for_sigterm_stays_the_programs(program: Program) -> None:
    program.write(
        "import os, signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        + REQUESTS
        + "os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert program.run().returncode == 9
    assert program.summary().requests == 3


LEFT = {
    "an open session": ("session = requests.Session(); session.get('{url}')", "none · 1 still open"),
    "an open manager and its response": (
        "import urllib3; response = urllib3.request('GET', '{url}')",
        "none · 1 still open",
    ),
    "a response of a closed session": (
        "session = requests.Session(); response = session.get('{url}'); session.close()",
        "1 × client close",
    ),
    "an open httpx client": (
        "import httpx; client = httpx.Client(); client.get('{url}')",
        "none · 1 still open",
    ),
}


@pytest.mark.parametrize(("text", "closed"), LEFT.values(), ids=LEFT.keys())
def test_objects_left_until_exit_are_not_called_collected(program: Program, text: str, closed: str) -> None:
    done = program.write("import requests\n" + text).run()
    assert f"closed   {closed}" in done.stderr


@pytest.mark.parametrize("broken", ["closed", "full device", "reader gone", "sigpipe deadly"])
def test_a_broken_stderr_never_changes_the_exit_code(program: Program, broken: str) -> None:
    deadly = (
        "import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n" if broken == "sigpipe deadly" else ""
    )
    program.write(deadly + REQUESTS + "import sys; sys.exit(4)")
    if broken == "closed":
        command = ["sh", "-c", '"$@" 2>&-', "sh", *program.command()]
        done = subprocess.run(command, env=program.environment(), check=False, timeout=60)
        assert done.returncode == 4
    elif broken == "full device":
        with open("/dev/full", "w") as full:
            assert program.run(stderr=full).returncode == 4
    else:
        with program.start() as process:
            assert process.stderr is not None
            process.stderr.close()
            assert process.wait(60) == 4
    assert program.summary().exit_code == 4


def test_the_report_goes_where_the_option_says(program: Program) -> None:
    program.write(REQUESTS)
    assert program.run("--quiet").stderr == ""
    elsewhere = program.directory / "report.txt"
    assert program.run("-o", str(elsewhere)).stderr == ""
    assert "requests.Session" in elsewhere.read_text(encoding="utf-8")


def test_colours_only_for_a_terminal_that_wants_them(program: Program) -> None:
    import os
    import pty

    program.write(REQUESTS)
    assert "\x1b" not in program.run().stderr

    def on_a_terminal(*options: str, **env: str) -> str:
        ours, theirs = pty.openpty()
        with os.fdopen(theirs, "w") as terminal:
            program.run(*options, stderr=terminal, env={"TERM": "xterm", **env})
        text = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # Linux reports this when the other side is closed
                break
            if not part:
                break
            text += part
        os.close(ours)
        return text.decode()

    assert "\x1b[" in on_a_terminal()
    assert "\x1b" not in on_a_terminal("--no-color")
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")


def test_only_the_requested_origins(program: Program) -> None:
    program.write(REQUESTS + f"requests.get('http://localhost:{program.server.port}/fixed/')")
    program.run("--origin", "local*")
    assert {e.origin for e in program.of(records.Exchange)} == {f"http://localhost:{program.server.port}"}
    assert program.summary().requests == program.summary().connections == 1
    assert [client.kind for client in program.of(records.Client) if client.closed_at is None] == [
        "requests.get"
    ]
    assert len(program.of(records.Pool)) == program.summary().clients == 1
    viewed = program.poolscope("view", str(program.saved)).stdout
    assert "only local*" in viewed
    assert "1 request · 1 connection · 1 client" in viewed


def test_a_filter_without_a_match_says_nothing_about_other_origins(program: Program) -> None:
    program.write(REQUESTS)
    said = (
        "no request was sent through httpx, requests, urllib3 or aiohttp to an origin that matches elsewhere"
    )
    run = program.run("--origin", "elsewhere")
    assert said in run.stderr
    assert "client" not in run.stderr
    assert program.poolscope("view", str(program.saved)).stdout == run.stderr


def test_query_values_are_kept_only_on_request(program: Program) -> None:
    program.write(REQUESTS.replace("{url}", "{url}?token=hidden"))
    program.run()
    assert "hidden" not in program.saved.read_text()
    program.run("--keep-query")
    assert "token=hidden" in program.saved.read_text()


def test_nothing_happened_is_a_report_too(program: Program) -> None:
    run = program.write("print('hello')").run()
    assert "no HTTP connection was opened" in run.stderr
    assert program.poolscope("view", str(program.saved)).stdout == run.stderr


REFUSED = {
    "missing script": (("nowhere.py",), "nowhere.py"),
    "missing module": (("-m", "no.such.module"), "no module named 'no'"),
    "package that cannot run": (("-m", "json"), "__main__"),
    "unwritable": (("--save", "/nowhere/at/all", "-c", "print('ran')"), "/nowhere/at/all"),
    "unwritable report": (("-o", "/nowhere/at/all", "-c", "print('ran')"), "/nowhere/at/all"),
    "nothing to run": ((), "nothing to run"),
    "unknown option": (("--wat", "x.py"), "--wat"),
    "no value": (("--save",), "--save"),
    "stdout": (("--save", "-", "-c", "print('ran')"), "--save cannot go to stdout"),
    "seconds": (("--every", "soon", "-c", ""), "soon"),
    "signal": (("--dump-on", "KILL", "-c", ""), "KILL"),
}


@pytest.mark.parametrize(("words", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_an_impossible_command_line_is_refused_in_one_line(
    program: Program, words: tuple[str, ...], named: str
) -> None:
    done = program.poolscope("run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert named in done.stderr


def test_the_saved_file_survives_sigkill(program: Program) -> None:
    program.write(REQUESTS + "print('ready', flush=True)\nimport time\ntime.sleep(60)")
    with program.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        eventually(lambda: over(program.saved) == 3)
        process.kill()
        process.communicate(timeout=30)
    view = program.poolscope("view", str(program.saved))
    assert "3 requests" in view.stdout
    assert "killed" in view.stderr
    assert view.returncode == 0


def test_the_current_report_every_few_seconds_and_on_a_signal(program: Program) -> None:
    program.write(REQUESTS + "print('ready', flush=True)\ninput()")
    for options, provoke in ((("--every", "0.5"), False), (("--dump-on", "USR1"), True)):
        with program.start(*options, stdin=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline() == "ready\n"
            if provoke:
                process.send_signal(signal.SIGUSR1)
            read_until(process.stderr, "3 requests")
            assert process.poll() is None
            _, rest = process.communicate("\n", timeout=30)
        assert process.returncode == 0
        assert "3 requests" in rest


LONG_WAIT = """
import httpx, sys, threading
client = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=60)
def waits():
    print(client.get("{url}").status_code)
with client.stream("GET", "{url}"):
    waiting = threading.Thread(target=waits)
    waiting.start()
    sys.stdin.readline()
waiting.join()
"""


def test_a_long_wait_says_once_who_holds_the_connections(program: Program) -> None:
    with program.write(LONG_WAIT).start("--dump-on", "USR1", stdin=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = read_until(process.stderr, "is held for")
        process.send_signal(signal.SIGUSR1)
        said += read_until(process.stderr, "total  ")  # so poolscope's thread has looked again
        stdout, rest = process.communicate("\n", timeout=30)
    assert stdout == "200\n"
    assert (said + rest).count("has waited") == 1
    assert "asked at " in said and "program.py:5" in said
    assert "program.py:6" in said


def test_no_warning_of_a_fork_in_a_process_of_several_threads(program: Program) -> None:
    program.write(
        "import warnings, os, sys; warnings.simplefilter('error')\n"
        + REQUESTS
        + "pid = os.fork()\nif pid == 0: os._exit(0)\nprint(os.waitpid(pid, 0)[1], len(os.listdir('/proc/self/task')))"
    )
    assert program.run().stdout.startswith("0 ")


def test_the_line_is_in_the_program_or_missing(program: Program) -> None:
    """Neither our code nor the command's own script is part of the program."""
    tool = program.directory / "site-packages" / "tool.py"
    tool.parent.mkdir()
    tool.write_text(REQUESTS.replace("{url}", program.server.url("/fixed/")))
    starter = program.directory / "poolscope"
    starter.write_text("from poolscope.cli.main import main\nmain()\n")
    path = f"{SOURCE}:{tool.parent}"
    done = subprocess.run(
        [sys.executable, str(starter), "run", "--save", str(program.saved), "-m", "tool"],
        env=program.environment(PYTHONPATH=path), cwd=program.directory, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    (client,) = {c.id: c for c in program.of(records.Client)}.values()
    assert done.returncode == 0
    assert client.call_site is None
    assert client.sdk_call_site.file == str(tool)


def test_a_full_disk_is_reported_and_nothing_else(program: Program) -> None:
    program.write(REQUESTS + "import sys; sys.exit(6)")
    done = program.poolscope("run", "--save", "/dev/full", str(program.path))
    assert done.returncode == 6
    assert "3 requests" in done.stderr
    assert "--save '/dev/full' is not complete: No space left on device" in done.stderr


def test_a_program_that_becomes_a_daemon_keeps_its_descriptors(program: Program) -> None:
    """It closes every descriptor, then reuses the numbers: what it writes must not land in the saved file."""
    program.write(
        "import os\n"
        + REQUESTS
        + "os.closerange(3, 256)\nmine = [open(f'mine{n}', 'w') for n in range(8)]\n"
        + REQUESTS
    )
    program.run("--every", "0.1")
    assert program.summary().requests == 6
    assert all((program.directory / f"mine{n}").read_text() == "" for n in range(8))


def test_greenlets_are_observed(program: Program) -> None:
    program.write(
        "from gevent import monkey; monkey.patch_all()\nimport gevent, os, requests\n"
        "def call(n=2):\n    with requests.Session() as s:\n        for _ in range(n): s.get('{url}')\n"
        "gevent.joinall([gevent.spawn(call) for _ in range(5)])\n"
        "pid = os.fork()\nif pid == 0:\n    call(); os._exit(0)\nos.waitpid(pid, 0)\n"
    )
    run = program.run()
    assert run.returncode == 0
    assert "12 requests · 6 connections · 6 clients" in run.stderr


SHAPES = {
    "beside": ["program.py", "x"],
    "dotted": ["./program.py"],
    "from below": ["sub/../program.py"],
    "a link": ["linked.py"],
    "a directory": ["application"],
    "an archive": ["application.pyz", "y"],
    "a compiled file": ["program.pyc"],
    "standard input": ["-", "z"],
}
SHOWN = (
    "import atexit, sys\natexit.register(lambda: print('__file__' in globals(), '__cached__' in globals()))\n"
    "print(sys.argv, sys.path[0], __file__, __cached__, __loader__.__class__, __name__, __package__)\n"
    "print(__spec__ and __spec__.origin, sys._getframe().f_code.co_filename)\n"
)


@pytest.mark.parametrize("end", ["", "1/0", "sys.exit(2)"], ids=["to its end", "raising", "exiting"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_program_named_in_any_way(program: Program, shape: list[str], end: str) -> None:
    import py_compile
    import zipfile

    program.write(SHOWN + end)
    text = program.path.read_text(encoding="utf-8")
    directory = program.directory
    for name in ("application", "sub"):
        (directory / name).mkdir()
    (directory / "application" / "__main__.py").write_text(text)
    with zipfile.ZipFile(directory / "application.pyz", "w") as archive:
        archive.writestr("__main__.py", text)
    (directory / "linked.py").symlink_to(program.path)
    py_compile.compile(str(program.path), str(directory / "program.pyc"))
    options: dict[str, Any] = {"cwd": directory, "env": program.environment(), "input": text}
    bare, run = (
        subprocess.run([*command, *shape], capture_output=True, text=True, timeout=60, check=False, **options)
        for command in ([sys.executable], [*POOLSCOPE, "run", "--quiet"])
    )
    assert (run.returncode, run.stdout, run.stderr) == (bare.returncode, bare.stdout, bare.stderr)


def test_process_substitution_is_a_file_too(program: Program) -> None:
    program.write("import requests\nrequests.get('{url}')")
    line = f"{' '.join(POOLSCOPE)} run --quiet --save >(cat > copy) {program.path}"
    subprocess.run(["bash", "-c", line], cwd=program.directory, env=program.environment(), check=True)
    copy = program.directory / "copy"
    eventually(lambda: copy.exists() and '"summary"' in copy.read_text())
    assert over(copy) == 1
