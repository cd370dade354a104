"""The documentation lists the functions that a step can call and a kernel has."""

from __future__ import annotations

import re
from pathlib import Path

from torchrecurrent.engine.ir.trace import functions

PAGE = Path(__file__).parents[1] / "docs" / "write_your_own.rst"


def test_the_documentation_lists_what_compiles() -> None:
    found = re.search(
        r"print\(textwrap\.fill\(.*?\.\. testoutput::\n\n(.*?)\n\n:meth:",
        PAGE.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert found is not None
    assert found[1].split() == functions()
