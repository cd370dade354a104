"""Real texts: where they come from, and what is said of those that are missing or malformed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchrecurrent.studies.running.store import StudyError
from torchrecurrent.studies.tasks import text
from torchrecurrent.studies.tasks.datasets import VARIABLE
from torchrecurrent.studies.tasks.language import CharacterModel
from torchrecurrent.studies.tasks.text import corpus, read_text

from .data_files import write_text


@pytest.fixture(autouse=True)
def a_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    text._bible.cache_clear()  # it is read once in a process, here from several programs
    yield
    text._bible.cache_clear()


def test_characters_that_were_not_trained_on_are_one_class(tmp_path: Path) -> None:
    write_text(tmp_path, "new", "abc" * 300 + "a\x00\U0001f600b" * 25)
    found = corpus("new")
    assert found.characters == "abc"
    assert found.validation.tolist() == [0, 3, 3, 1] * 12 + [0, 3]
    assert set(found.test.tolist()) == {0, 1, 3}
    assert CharacterModel("new").input_size == 4


def test_another_folder_has_other_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_text(tmp_path / folder, "own", folder * 1000)
        monkeypatch.setenv(VARIABLE, str(tmp_path / folder))
        assert read_text("own") == folder * 1000


def test_the_documentation_of_python() -> None:
    from pydoc_data.topics import topics

    found = read_text("python")
    assert len(found) == sum(map(len, topics.values())) + len(topics) - 1
    assert found.startswith(topics[min(topics)])
    assert found.endswith(topics[max(topics)])


def bible(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, and no other."""
    program = folder / "bin" / "bible"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_the_references_of_verses_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        'test "$*" = "-f gen1:1-rev22:21" || exit 3\n'
        "for k in $(seq 40); do echo Ge1:$k In the beginning: 3; echo 1Sm12:1 And all; done"
    )
    bible(tmp_path, script, monkeypatch)
    assert read_text("kjv") == "In the beginning: 3\nAnd all\n" * 40
    write_text(tmp_path, "kjv", "x" * 1000)  # the user's comes first
    assert read_text("kjv") == "x" * 1000


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "failed .*exit status 3"),
        ("echo Genesis", "does not print a verse a line"),
        ("echo Ge1:1 In the beginning", "does not print a verse a line"),
        ("printf '\\377'", "failed .*utf-8"),
    ],
)
def test_a_program_that_is_something_else(
    script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bible(tmp_path, script, monkeypatch)
    refused("kjv", message)


def refused(name: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        CharacterModel(name).training(0, 2)
    assert "\n" not in str(caught.value)


def test_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused("other", rf"text: expected kjv or python, or .* got 'other': no {tmp_path}/text/other")
    monkeypatch.setenv("PATH", str(tmp_path))
    refused("kjv", "bible, which is not here; install Debian's bible-kjv, put text/kjv.txt into")
    monkeypatch.delenv(VARIABLE)
    refused("other", f"got 'other': {VARIABLE} is not set")


def test_a_text_that_is_none(tmp_path: Path) -> None:
    write_text(tmp_path, "short", "a" * 999)
    refused("short", r"expected at least 1000 characters in .*short.txt, got 999")
    (tmp_path / "text" / "bytes.txt").write_bytes(b"\xff" * 2000)
    refused("bytes", r"could not read .*bytes.txt as UTF-8")


def test_the_bible_where_it_is_installed() -> None:
    """Beside the tests above, which need nothing installed."""
    if shutil.which("bible") is None:
        pytest.skip("Debian's bible-kjv is not installed")
    verses = read_text("kjv").splitlines()
    assert len(verses) == 31_102
    assert verses[0] == "In the beginning God created the heaven and the earth."
    assert not any(map(str.isdigit, read_text("kjv")))
