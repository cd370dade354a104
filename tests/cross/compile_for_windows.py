"""A compiler for Windows' Python under Wine, which is Zig on the machine around it.

Wine starts a program of that machine, and does not wait for it: it says when it is done by a file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = """\
python=$1 messages=$2; shift 2
unset WINEPREFIX
"$python" -m ziglang cc -target x86_64-windows-gnu "$@" > "$messages" 2>&1
echo $? > "$messages.part" && mv "$messages.part" "$messages.status"
"""


def outside(word: str) -> str:
    """A word with a path of Wine's, as the machine around it has the path."""
    for drive, folder in (("Z:\\", "/"), ("C:\\", f"{os.environ['WINEPREFIX']}/drive_c/")):
        before, found, after = word.partition(drive)
        if found:
            return before + folder + after.replace("\\", "/")
    return word


def main(words: list[str]) -> int:
    """The exit status of the compiler."""
    with tempfile.TemporaryDirectory() as folder:
        messages = Path(folder, "messages")
        status = Path(f"{messages}.status")
        python = os.environ["TORCHRECURRENT_HOST_PYTHON"]
        script = Path(folder, "compile.sh")
        script.write_text(SCRIPT, newline="\n")
        given = map(outside, [str(script), python, str(messages), *words])
        subprocess.run(["start", "/unix", "/bin/sh", *given], check=True)
        while not status.exists():
            time.sleep(0.02)
        failed = int(status.read_text())
        print(messages.read_text(errors="replace"), file=sys.stderr if failed else sys.stdout)
        return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
