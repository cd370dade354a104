"""The documentation of several versions beside each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from runpy import run_path

import pytest
from browser import Open, served
from packaging.version import InvalidVersion

DOCS = Path(__file__).parents[1]
BUILT = DOCS / "_build" / "html"
publish: Callable[[Path, Path, str], None] = run_path(str(DOCS / "publish.py"))["publish"]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "index.html").write_text("a page")
    return folder


def test_stable_is_the_newest_release(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for version in ("0.9.0", "dev", "0.10.0", "0.11.0rc1", "0.9.1"):
        (built / "index.html").write_text(version)
        publish(site, built, version)
    names = json.loads((site / "versions.json").read_text())
    assert names == ["stable", "0.11.0rc1", "0.10.0", "0.9.1", "0.9.0", "dev"]
    assert (site / "stable" / "index.html").read_text() == "0.10.0"
    assert "url=stable/" in (site / "index.html").read_text()


def test_before_a_release(built: Path, tmp_path: Path) -> None:
    publish(tmp_path, built, "dev")
    assert json.loads((tmp_path / "versions.json").read_text()) == ["dev"]
    assert "url=dev/" in (tmp_path / "index.html").read_text()
    assert not (tmp_path / "stable").exists()


def test_a_version_that_is_there_is_replaced(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (built / "old.html").touch()
    publish(site, built, "1.0")
    (built / "old.html").unlink()
    publish(site, built, "1.0")
    assert [each.name for each in (site / "1.0").iterdir()] == ["index.html"]


def test_what_is_refused_changes_nothing(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with pytest.raises(InvalidVersion):
        publish(site, built, "newest")
    with pytest.raises(FileNotFoundError, match="make docs"):
        publish(site, tmp_path, "1.0")
    assert not site.exists()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    for version in ("1.0", "1.1"):
        publish(tmp_path, BUILT, version)
    with served(tmp_path) as address:
        yield address


@pytest.mark.parametrize("page", ["cells.html", "cells/BRCell.html"])
def test_a_page_lists_the_versions(page: str, address: str, open_page: Open) -> None:
    select = open_page(f"{address}/1.0/{page}").select_one("select.versions")
    assert select is not None
    assert [option.get_text() for option in select.select("option")] == ["stable", "1.1", "1.0"]
    chosen = select.select_one("option[selected]")
    assert chosen is not None
    assert chosen.get_text() == "1.0"
