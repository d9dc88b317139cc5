"""Finds the Collector, Jaeger, Prometheus and VictoriaLogs on this machine, and builds from Go modules what is missing.

python -m stack.binaries            build whatever is missing (about 16 minutes on two cores, then seconds)
python -m stack.binaries --list     print what is here and where, build nothing
"""

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "collector" / "builder.yaml"


class MissingError(Exception):
    """A component that is not here and could not be built; the text is for people."""


@dataclass(frozen=True)
class Component:
    """One program of the stack: its version, its name, and how it is built."""

    name: str
    version: str
    programs: tuple[str, ...]
    minutes: int
    build: Callable[[Path, Path], None]
    # A program of the same name on the PATH is used if this command prints all of these words.
    probe: tuple[str, ...]
    needs: tuple[str, ...]
    # Further input of the build: a program built from another manifest is another program.
    manifest: Path | None = None

    @property
    def folder(self) -> Path:
        digest = f"-{sha256(self.manifest.read_bytes()).hexdigest()[:8]}" if self.manifest else ""
        return cache() / f"{self.name}-{self.version}{digest}"


def cache() -> Path:
    """Where built programs are kept: outside the checkout, so that a fresh clone need not build again."""
    chosen = os.environ.get("POOLSCOPE_STACK_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "poolscope-stack"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(step: str, command: list[str], folder: Path, **variables: str) -> str:
    """Run one step of a build, and print every half minute that it is still running."""
    began = time.monotonic()
    done = threading.Event()

    def tell() -> None:
        while not done.wait(30):
            say(f"      {step}: {time.monotonic() - began:.0f} s so far")

    say(f"      {step}")
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", **variables}
    try:
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        done.set()
        teller.join()
    if result.returncode:
        last_lines = "\n".join((result.stderr or result.stdout).strip().splitlines()[-8:])
        raise MissingError(f"{step} failed (exit {result.returncode}): {' '.join(command)}\n{last_lines}")
    return result.stdout


def _copy_of_module(module: str, version: str, work: Path) -> Path:
    """Copy a Go module's folder: a build inside it uses its own go.mod, `replace` lines included."""
    printed = _run(
        f"downloading {module}@{version}", ["go", "mod", "download", "-json", f"{module}@{version}"], work
    )
    source = next(line.split('"')[3] for line in printed.splitlines() if '"Dir"' in line)
    copy = work / "source"
    shutil.copytree(source, copy)
    # The module cache is read-only, and so is its copy until we change it.
    for path in [copy, *copy.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return copy


def _build_collector(work: Path, target: Path) -> None:
    builder = "go.opentelemetry.io/collector/cmd/builder@v0.155.0"
    _run("building the Collector's builder", ["go", "install", builder], work, GOBIN=str(work))
    source = work / "source"
    generate = ["./builder", "--config", str(MANIFEST), "--skip-compilation", "--skip-get-modules"]
    _run("generating the Collector's sources", [*generate, "--output-path", str(source)], work)
    # The builder would write go.mod and tidy it, which also asks for modules that only tests import.
    modules = re.findall(r"gomod: (\S+) (\S+)", MANIFEST.read_text(encoding="utf-8"))
    # What the generated main imports besides the components; without these lines, Go would take the newest versions.
    modules.append(("go.opentelemetry.io/collector/otelcol", "v0.155.0"))
    _run("naming its modules", ["go", "mod", "init", "otelcol"], source)
    _run(
        "fixing their versions",
        ["go", "mod", "edit", *[f"-require={name}@{at}" for name, at in modules]],
        source,
    )
    compiler = ["go", "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o", str(target / "otelcol"), "."]
    _run("compiling the Collector", compiler, source)


def _build_jaeger(work: Path, target: Path) -> None:
    source = _copy_of_module("github.com/jaegertracing/jaeger", "v1.76.0", work)
    _run(
        "compiling Jaeger",
        ["go", "build", "-ldflags=-s -w", "-o", str(target / "jaeger"), "./cmd/jaeger"],
        source,
    )


def _build_prometheus(work: Path, target: Path) -> None:
    source = _copy_of_module("github.com/prometheus/prometheus", "v0.315.0", work)
    for program in ("prometheus", "promtool"):
        # Without service discovery in some thirty clouds, which is most of its code.
        flags = ["-ldflags=-s -w", "-tags=remove_all_sd"]
        compiler = ["go", "build", *flags, "-o", str(target / program), f"./cmd/{program}"]
        _run(f"compiling {program}", compiler, source)


def _build_victoria_logs(work: Path, target: Path) -> None:
    module = "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1"
    _run("building VictoriaLogs", ["go", "install", "-ldflags=-s -w", module], work, GOBIN=str(target))


COMPONENTS = {
    "otelcol": Component(
        "otelcol",
        "0.155.0",
        ("otelcol",),
        2,
        _build_collector,
        ("components",),
        (
            "span_metrics",
            "otlp_http",
            "tail_sampling",
            "transform",
            "prometheus",
            "file_storage",
            "bearertokenauth",
        ),
        MANIFEST,
    ),
    "victoria-logs": Component(
        "victoria-logs",
        "1.52.1",
        ("victoria-logs",),
        2,
        _build_victoria_logs,
        ("-version",),
        ("victoria-logs",),
    ),
    "jaeger": Component(
        "jaeger", "1.76.0", ("jaeger",), 5, _build_jaeger, ("components",), ("jaeger_query",)
    ),
    "prometheus": Component(
        "prometheus",
        "0.315.0",
        ("prometheus", "promtool"),
        7,
        _build_prometheus,
        ("--help",),
        ("--web.enable-otlp-receiver",),
    ),
}


def _on_path(component: Component, program: str) -> Path | None:
    for name in (program, f"{program}-contrib"):
        found = shutil.which(name)
        main = shutil.which(component.programs[0]) or found
        if not found or not main:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run(
                [main, *component.probe], capture_output=True, text=True, timeout=20, check=False
            )
            if all(word in asked.stdout + asked.stderr for word in component.needs):
                return Path(found)
    return None


def find(program: str) -> Path | None:
    """Return the path of a program of COMPONENTS: built earlier, or on the PATH."""
    component = next(each for each in COMPONENTS.values() if program in each.programs)
    built = component.folder / program
    return built if built.exists() else _on_path(component, program)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let one process build at a time: two would take twice as long and write to the same folder."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is under way; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(component: Component) -> None:
    """Build one component into the cache unless it is there; after a failure the cache is unchanged."""
    if not shutil.which("go"):
        raise MissingError(
            f"{component.name} {component.version} is not on this machine, and to build it Go 1.26 is needed"
        )
    with _alone():
        if component.folder.exists():
            return
        began = time.monotonic()
        say(
            f"{component.name} {component.version} is not here yet: building it (about {component.minutes} min)"
        )
        work = cache() / f"{component.name}.work"
        shutil.rmtree(work, ignore_errors=True)
        target = work / "programs"
        target.mkdir(parents=True)
        try:
            component.build(work, target)
            target.rename(component.folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        say(
            f"{component.name} {component.version} built in {time.monotonic() - began:.0f} s: {component.folder}"
        )


def need(program: str, *, may_build: bool) -> Path:
    """Return the program's path, building it first if allowed; raise MissingError with a plain reason."""
    found = find(program)
    if found:
        return found
    component = next(each for each in COMPONENTS.values() if program in each.programs)
    if not may_build:
        raise MissingError(
            f"{program} {component.version} is not in {cache()} nor on the PATH (python -m stack.binaries)"
        )
    build(component)
    return component.folder / program


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.binaries", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--list", action="store_true", help="say what is here, build nothing")
    parser.add_argument(
        "components", nargs="*", metavar="COMPONENT", help=f"of {', '.join(COMPONENTS)} (all)"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.components if name not in COMPONENTS]
    if unknown:
        parser.error(f"no component {unknown[0]!r}: choose from {', '.join(COMPONENTS)}")
    complete = True
    for name in options.components or COMPONENTS:
        for program in COMPONENTS[name].programs:
            try:
                print(f"{program:<11} {need(program, may_build=not options.list)}", flush=True)
            except MissingError as reason:
                complete = False
                print(f"{program:<11} missing: {reason}", flush=True)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
