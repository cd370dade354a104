"""The study runner under torchrun."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torchrecurrent.cli import main

SIZE = 2
#: For two processes to import torch and train; a hang fails.
SECONDS = 240
SMOKE = ["study", "run", "adding", "--preset", "smoke", "--cells", "LSTM", "--seeds", "1", "--out"]


def launch(words: list[str]) -> subprocess.CompletedProcess[str]:
    """The command in two processes of torchrun, as a user starts them."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, f"--nproc-per-node={SIZE}", "-m", "torchrecurrent", *words]
    # Of its own session, so that a hang is ended with all of its processes.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_the_command_under_torchrun(tmp_path: Path) -> None:
    done = launch([*SMOKE, str(tmp_path / "two")])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1 run: 0 finished, 0 started, 1 new; 1 at a time."
    assert done.stdout.count("test MSE") == 1
    assert main([*SMOKE, str(tmp_path / "one")]) == 0
    one, two = (sorted((tmp_path / who).rglob("*.*")) for who in ("one", "two"))
    names = [each.relative_to(tmp_path / "one") for each in one]
    assert [each.relative_to(tmp_path / "two") for each in two] == names
    assert len(names) == 4
    ours, theirs = ({each.name: each for each in files} for files in (one, two))
    configs = [json.loads(each["config.json"].read_text()) for each in (ours, theirs)]
    assert configs[0]["config"] == configs[1]["config"]
    assert [each["machine"]["processes"] for each in configs] == [1, 2]
    # In float32: the same sums in another order.
    weights = [torch.load(each["checkpoint.pt"])["model"] for each in (theirs, ours)]
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-5)
    texts = [each["metrics.csv"].read_text() for each in (ours, theirs)]
    rows = [list(csv.reader(text.splitlines())) for text in texts]
    assert [row[:3] for row in rows[0]] == [row[:3] for row in rows[1]]
    values = [[float(row[3]) for row in each[1:]] for each in rows]
    assert values[1] == pytest.approx(values[0], rel=1e-5)


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["--set", "batch_size=9"], {}, "batch_size: expected a multiple of 2, the number of pro"),
        (["--set", "device=meta"], {}, "device: expected cpu or cuda for many processes, got"),
        (["--jobs", "2"], {}, "jobs: got 2, but processes of torchrun train one run at a time"),
        (["--dask", "tcp://a:1"], {}, "dask: got 'tcp://a:1', but processes of torchrun train"),
        ([], {}, "WORLD_SIZE is 2, but not by torchrun: "),
        (["--set", "batch_size=9"], {"RANK": "1"}, ""),
    ],
)
def test_what_torchrun_s_processes_refuse(
    words: list[str],
    environment: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"WORLD_SIZE": "2", **environment}.items():
        monkeypatch.setenv(name, value)
    assert main([*SMOKE, str(tmp_path), *words]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert message in told.err
    assert told.err.count("\n") == bool(message)
    assert not list(tmp_path.iterdir())
