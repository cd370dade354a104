"""Signals reach the processes of tests wherever the tests run, and no test waits for ever."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .processes import in_background, in_foreground, interrupt, interrupt_this, status_of_child

HERE = Path(__file__).parent


def test_ctrl_c_reaches_a_child_of_a_job_in_the_background() -> None:
    # It waits for a line that nobody writes.
    command = [sys.executable, "-c", "print('ready', flush=True); input()"]
    with in_background(), in_foreground():
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        interrupt(process)
        assert process.wait(timeout=30) == -signal.SIGINT


def test_ctrl_c_reaches_this_process_in_the_foreground_only() -> None:
    def press() -> None:
        interrupt_this()
        time.sleep(30)  # it need not be felt at once

    with in_background():
        with in_foreground(), pytest.raises(KeyboardInterrupt):
            press()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with pytest.raises(RuntimeError, match="press Ctrl-C within in_foreground"):
            interrupt_this()


def test_only_one_file_presses_ctrl_c() -> None:
    own = {"processes.py", Path(__file__).name}
    found = [
        path.name
        for path in sorted(HERE.rglob("*.py"))
        if path.name not in own and re.search(r"signal\.SIGINT|interrupt_main", path.read_text())
    ]
    assert not found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_hangs_is_ended() -> None:
    assert status_of_child(lambda: True) == 0
    assert os.WEXITSTATUS(status_of_child(lambda: False)) == 1

    def hang() -> bool:
        time.sleep(100)
        return True

    assert os.WTERMSIG(status_of_child(hang, seconds=1)) == signal.SIGALRM


HANGS = """
import time
def test_that_sleeps():
    time.sleep(60)
def test_that_is_fine():
    pass
def test_that_never_comes_back_to_python():
    sum(range(10**12))
"""


def test_a_test_that_hangs_is_ended(tmp_path: Path) -> None:
    """By the two limits of pyproject.toml, which are shorter here."""
    file = tmp_path / "test_hanging.py"
    file.write_text(HANGS)
    words = ["-c", "pyproject.toml", "-p", "no:cacheprovider", "-vv", str(file)]
    limits = ["--override-ini=timeout=1", "--override-ini=faulthandler_timeout=3"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *limits],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    outcomes = re.findall(r"::(test_\w+) ([A-Z]+)", done.stdout)
    assert outcomes == [("test_that_sleeps", "FAILED"), ("test_that_is_fine", "PASSED")]
    assert "Timeout (0:00:03)!" in done.stderr
    assert "test_that_never_comes_back_to_python" in done.stderr
    assert done.returncode == 1
