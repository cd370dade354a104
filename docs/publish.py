"""Puts the built documentation beside that of other versions.

A site has a folder for each version, and ``stable``, which is a copy of the newest one that is no
release candidate. Its first page leads to ``stable``. ``versions.json`` names the folders, newest
first; each page shows them (``_static/versions.js``).
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from packaging.version import InvalidVersion, Version

BUILT = Path(__file__).parent / "_build" / "html"
FIRST_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<title>torchrecurrent</title>
<meta http-equiv="refresh" content="0; url=stable/">
<a href="stable/">torchrecurrent's documentation</a>
"""


def publish(site: Path, built: Path, version: str) -> None:
    """Add a version to a site, or replace it.

    Args:
        site: a folder; made if it is missing.
        built: what ``make docs`` made.
        version: of the package, which is the name of its folder.

    Raises:
        FileNotFoundError: the documentation is not built.
        packaging.version.InvalidVersion: ``version`` is none.
    """
    Version(version)
    if not (built / "index.html").exists():
        raise FileNotFoundError(f"{built}: expected a built site; run `make docs` first")
    _replace(site / version, built)
    versions = _versions(site)
    released = [each for each in versions if not Version(each).is_prerelease]
    _replace(site / "stable", site / (released or versions)[0])
    (site / "versions.json").write_text(json.dumps(["stable", *versions]) + "\n", encoding="utf-8")
    (site / "index.html").write_text(FIRST_PAGE, encoding="utf-8")
    (site / ".nojekyll").touch()  # or GitHub leaves out the folders that begin with _


def _replace(folder: Path, source: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)


def _versions(site: Path) -> list[str]:
    """The folders whose names are versions, newest first."""
    found = []
    for folder in site.iterdir():
        try:
            found.append(Version(folder.name))
        except InvalidVersion:
            continue
    return [str(version) for version in sorted(found, reverse=True)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path, help="the folder of all versions")
    parser.add_argument("version", help="of the package")
    given = parser.parse_args()
    publish(given.site, BUILT, given.version)
