"""Files of images: which are taken, and what is said of those that are missing or malformed."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Literal

import pytest
import torch

from torchrecurrent.studies.running.store import StudyError
from torchrecurrent.studies.tasks import datasets
from torchrecurrent.studies.tasks.datasets import VARIABLE, load_images
from torchrecurrent.studies.tasks.images import SequentialImages

from .data_files import NAMES, hide_what_is_installed, idx, write_set


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_what_is_installed(tmp_path, monkeypatch)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_the_files_of_the_user(
    name: Literal["fashion-mnist", "mnist"],
    zipped: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_set(tmp_path / name, zipped=zipped)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    found = load_images(name, "train")
    assert found.pixels.shape == (12, 28, 28)
    assert found.labels.tolist() == [0, 1, 2] * 4
    suffix = ".gz" if zipped else ""
    content = (tmp_path / name / f"{NAMES['train'][0]}{suffix}").read_bytes()
    content = gzip.decompress(content) if zipped else content
    assert found.pixels.numpy().tobytes() == content[16:]
    assert len(load_images(name, "test")) == 5


def test_another_folder_has_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, count in (("a", 12), ("b", 7)):
        write_set(tmp_path / folder / "mnist", train=count)
        monkeypatch.setenv(VARIABLE, str(tmp_path / folder))
        assert len(load_images("mnist", "train")) == count


def test_the_folder_of_the_user_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path / "debian" / "fashion-mnist", train=20)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    assert len(load_images("fashion-mnist", "train")) == 20
    write_set(tmp_path / "own" / "fashion-mnist", train=13)
    assert len(load_images("fashion-mnist", "train")) == 13


def refused(task: SequentialImages) -> str:
    """The one line that tells why."""
    with pytest.raises(StudyError) as caught:
        task.training(0, 2)
    with pytest.raises(StudyError):
        task.test(0)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused(SequentialImages())
    assert message.startswith(f"images: no fashion-mnist in {tmp_path}/debian/fashion-mnist; ")
    assert "install Debian's dataset-fashion-mnist" in message
    assert "--set images=digits" in message
    assert f"no mnist in {VARIABLE}, which is not set;" in refused(SequentialImages("mnist"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    message = refused(SequentialImages())
    assert f"{tmp_path}/own/fashion-mnist or {tmp_path}/debian/fashion-mnist" in message
    assert f"no mnist in {tmp_path}/own/mnist; set {VARIABLE}" in refused(SequentialImages("mnist"))


IMAGES, LABELS = NAMES["train"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGES, None, f"has neither {IMAGES} nor {IMAGES}.gz; put it there"),
        (LABELS, None, f"has neither {LABELS} nor {LABELS}.gz; put it there"),
        (IMAGES, b"", "it starts with , expected 00000803"),
        (IMAGES, b"\0\0\x08\1" + bytes(12), "it starts with 00000801, expected 00000803"),
        (LABELS, b"\0\0\x0d\1" + bytes(4), "it starts with 00000d01, expected 00000801"),
        (IMAGES, b"\0\0\x08\3" + bytes(3), "it has 7 bytes, expected 16 of its sizes"),
        (LABELS, b"\0\0\x08\1\0\0\0\x0c" + bytes(11), "it has 19 bytes, expected 20 of its"),
        (LABELS, b"\0\0\x08\1\0\0\0\x0c" + bytes(13), "it has 21 bytes, expected 20 of its"),
        (LABELS, idx(torch.zeros(11, dtype=torch.uint8)), "got 11 labels and 12 images"),
        (LABELS, idx(torch.full((12,), 10, dtype=torch.uint8)), "labels below 10, got 10"),
        (
            IMAGES,
            idx(torch.zeros(12, 28, 27, dtype=torch.uint8)),
            "expected images of 28 x 28, got 28 x 27",
        ),
        (IMAGES, idx(torch.zeros(0, 28, 28, dtype=torch.uint8)), "12 labels and 0 images"),
        (f"{IMAGES}.gz", b"no archive", r"\.gz is not an IDX file of this set \(BadGzipFile"),
        (
            f"{IMAGES}.gz",
            gzip.compress(bytes(99), mtime=0)[:-9],
            r"is not an IDX file of this set \(EOFE",
        ),
    ],
)
def test_a_malformed_file(
    name: str,
    content: bytes | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "mnist"
    write_set(folder)
    (folder / name.removesuffix(".gz")).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(StudyError, match=message) as caught:
        load_images("mnist", "train")
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_fashion_mnist_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the tests above, which need nothing installed."""
    monkeypatch.undo()
    monkeypatch.delenv(VARIABLE, raising=False)
    if not (datasets.DEBIAN / "fashion-mnist").is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    task = SequentialImages(permutation=1, blanks=2)
    assert load_images("fashion-mnist", "train").labels.bincount().tolist() == [6000] * 10
    assert task.baseline == 0.1
    inputs = next(task.training(0, 100)).inputs
    assert isinstance(inputs, torch.Tensor)
    assert inputs.shape == (30, 100, 28)
    assert [len(each.target) for each in (task.validation(0), task.test(0))] == [5000, 10_000]


def test_a_part_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="part: digits has no part 'test'"):
        load_images("digits", "test")
