"""Puts the built documentation beside that of other versions.

A site has a folder for each version; ``stable``, a copy of the newest one that is no release
candidate, to which its first page leads; and ``dev``, the state of the default branch.
``versions.json`` names the folders; each page shows them (``_static/versions.js``).
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from packaging.version import InvalidVersion, Version

STABLE, DEV = "stable", "dev"
BUILT = Path(__file__).parent / "_build" / "html"
FIRST_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<title>torchrecurrent</title>
<meta http-equiv="refresh" content="0; url={folder}/">
<a href="{folder}/">torchrecurrent's documentation</a>
"""


def publish(site: Path, built: Path, version: str) -> None:
    """Add a version to a site, or replace it.

    Args:
        site: a folder; made if it is missing.
        built: what ``make docs`` made.
        version: of the package, or ``"dev"``; the name of its folder.

    Raises:
        FileNotFoundError: the documentation is not built.
        packaging.version.InvalidVersion: ``version`` is none.
    """
    if version != DEV:
        Version(version)
    if not (built / "index.html").exists():
        raise FileNotFoundError(f"{built}: expected a built site; run `make docs` first")
    _replace(site / version, built)
    versions = _versions(site)
    released = [each for each in versions if not Version(each).is_prerelease]
    if released:
        _replace(site / STABLE, site / released[0])
    names = [name for name in (STABLE, *versions, DEV) if (site / name).exists()]
    (site / "versions.json").write_text(json.dumps(names) + "\n", encoding="utf-8")
    first = FIRST_PAGE.format(folder=names[0])
    (site / "index.html").write_text(first, encoding="utf-8")
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
    parser.add_argument("version", help="of the package, or dev")
    given = parser.parse_args()
    publish(given.site, BUILT, given.version)
