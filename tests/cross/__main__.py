"""``python -m tests.cross``: compile all cells for other systems, and run what can be run.

The products in both precisions and each cell in one of them, in turn; by the pinned Zig, into
build/cross. What a system's kernels compute is compared with what this machine's computed, by qemu
and by Wine where they are installed; with ``--all`` it is a failure that one is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from torchrecurrent.engine.cpu.target import FLAGS, NATIVE

from . import record

FOLDER = Path("build/cross").resolve()
HERE = Path(__file__).parent
ZIG = (sys.executable, "-m", "ziglang", "cc")
#: As the package calls it, but for what belongs to one system.
COMMON = tuple(flag for flag in FLAGS if flag not in (NATIVE, "-fPIC", "-shared"))
#: Seconds of one command; recording, the longest, takes a hundred.
LIMIT = 600


@dataclass(frozen=True)
class System:
    """One that is not this one.

    Attributes:
        name: as people call it.
        target: as Zig calls it.
        flags: what its CPU has.
        kernels: of which recording.
        runner: what runs its programs here; empty: nothing does.
    """

    name: str
    target: str
    flags: tuple[str, ...]
    kernels: str = "portable"
    runner: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return FOLDER / self.target

    def build(self, files: list[Path]) -> str:
        """Compile everything; what went wrong, or nothing."""
        self.folder.mkdir(exist_ok=True)
        kernels, driver = [*map(str, files)], str(HERE / "driver.c")
        if "windows" in self.target:
            library = str(self.folder / "kernels.dll")
            return self._zig("-shared", *kernels, "-o", library) or self._zig(
                driver, "-o", str(self.folder / "driver.exe")
            )
        if "macos" in self.target:
            return self._zig("-shared", "-fPIC", *kernels, "-o", str(self.folder / "k.dylib"))
        program = str(self.folder / "driver")
        return self._zig("-fPIC", "-static", driver, *kernels, "-o", program)

    def _zig(self, *words: str) -> str:
        command = [*ZIG, "-target", self.target, *self.flags, *COMMON, *words, "-lm"]
        caches = {
            "ZIG_GLOBAL_CACHE_DIR": str(FOLDER / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(FOLDER / "own"),
        }
        return _outcome(command, self.folder, caches)[0]

    def run(self) -> tuple[str, str]:
        """Run the driver; return the error and the driver's messages."""
        program = str(self.folder / ("driver.exe" if self.runner[0] == "wine" else "driver"))
        prefix = {"WINEPREFIX": str(FOLDER / "wine"), "WINEDEBUG": "-all", "DISPLAY": ""}
        calls = str(FOLDER / f"{self.kernels}.calls")
        return _outcome([*self.runner, program, calls], self.folder, prefix)


SYSTEMS = (
    System(
        "Linux, x86-64 without AVX",
        "x86_64-linux-musl",
        ("-march=x86_64",),
        runner=("qemu-x86_64", "-cpu", "qemu64"),
    ),
    System("Linux, 64-bit Arm", "aarch64-linux-musl", (), runner=("qemu-aarch64",)),
    System("Windows, this CPU", "x86_64-windows-gnu", ("-march=native",), "native", ("wine",)),
    System("macOS, 64-bit Arm", "aarch64-macos", ()),
)


def _outcome(command: list[str], folder: Path, more: dict[str, str]) -> tuple[str, str]:
    environment = {**os.environ, **more}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    said = lines[-1] if lines else ""
    if done.returncode:
        return f"exit status {done.returncode}: {said} {done.stderr[-1500:]}", said
    return "", said


def _record(kind: str) -> str:
    caches = {"TORCHRECURRENT_CACHE_DIR": str(FOLDER / "kernels")} if kind == "portable" else {}
    path = str(FOLDER / f"{kind}.calls")
    command = [sys.executable, "-m", "tests.cross.record", path, kind]
    return _outcome(command, Path.cwd(), caches)[0]


def main(words: list[str]) -> int:
    """The exit status: 1 if anything failed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in {**record.sources(), "table.c": record.table()}.items():
        files.append(FOLDER / name)
        files[-1].write_text(text, encoding="utf-8")
    failed = 0
    for kind in sorted({system.kernels for system in SYSTEMS}):
        if trouble := _record(kind):
            print(f"recording failed: {trouble}")
            return 1
    for system in SYSTEMS:
        start = time.monotonic()
        trouble = system.build(files)
        report = "compiled" if not trouble else f"FAILED to compile: {trouble}"
        runner = system.runner[0] if system.runner else ""
        if not trouble and runner and shutil.which(runner):
            trouble, said = system.run()
            report += f", ran by {runner}: {said}" if not trouble else f", FAILED: {trouble}"
        elif not trouble and runner:
            report += f", not run: {runner} is not installed"
            trouble = runner if "--all" in words else ""
        failed += bool(trouble)
        print(f"{system.name} ({system.target}), {time.monotonic() - start:.0f} s: {report}")
        sys.stdout.flush()
    print(f"{len(SYSTEMS) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
