"""A page of the built site as a browser makes it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from bs4 import BeautifulSoup, Tag

Open = Callable[[str], BeautifulSoup]
PAGE = Path(__file__).parents[1] / "_build" / "html" / "cells.html"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of a folder's files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def with_script(page: Path, script: str, folder: Path) -> str:
    """The address of a copy of a page, written to ``folder``, that runs a script of the test's."""
    copy = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    assert copy.head is not None
    copy.head.insert(0, Tag(name="base", attrs={"href": page.as_uri()}))
    added = Tag(name="script")
    added.string = script
    copy.head.append(added)
    path = folder / page.name
    path.write_text(str(copy), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="session")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Opens an address and returns the page after its scripts ran, which must not complain."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    assert browser, f"none of {', '.join(names)} was found"
    assert PAGE.exists(), "the site is not built: run `make docs` first"
    profile = tmp_path_factory.mktemp("profile")

    def load(address: str) -> BeautifulSoup:
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",  # it refuses to run as root with one
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={profile}",
                "--enable-logging=stderr",
                "--virtual-time-budget=20000",  # of the page's own clock, which runs ahead
                "--dump-dom",
                address,
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        assert not complaints, complaints
        return BeautifulSoup(done.stdout, "html.parser")

    return load
