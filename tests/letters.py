r"""The letters of equations in LaTeX: a docstring's, and those that are printed from the code.

A docstring may end an equation of a gate i with ``\text{and so} f_t, o_t``, and one with an index k
with ``\text{for } k = 1, 2``: then it has the letters of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

__all__ = ["constants", "defined", "displayed", "inline", "prose"]

_BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_SYMBOL = re.compile(
    rf"(?:\\Delta t|\\(?:tilde|hat|check|bar|mathrm){_BRACES}|\\[A-Za-z]+|[A-Za-z])(?:_{_BRACES})?"
)
#: What stands for no value: functions, operators, spaces; Euler's number, i, the identity.
_NONE = re.compile(
    r"\\(?:tanh|sigma|phi|psi|exp|log|max|min|cos|sin|odot|cdot|text|quad|qquad|begin|end|left|right"
    r"|top|bmod|frac|sqrt|le|neq|lfloor|rfloor|Delta|infty)"
    r"|\\mathrm\{(?:[a-z]{3,}\d?|Re|Im|LN|SiLU)\}|[eiI]"
)
_TEXT = re.compile(r"\\text\{[^{}]*\}|\\(?:begin|end)\{\w+\}")


_BLOCK = re.compile(r"\.\. math::((?:[^\n]*\n)(?:[ ]{3,}.*\n|\n)*)")


def displayed(docstring: str) -> list[str]:
    """The displayed equations of a docstring, with every index in braces."""
    text = _plain(" ".join(_BLOCK.findall(cleandoc(docstring) + "\n")).replace("&", ""))
    return [
        each
        for line in re.split(r"\\\\|\\qquad|, \\quad(?! \\text| k)", text)
        for each in _all(line)
    ]


def prose(docstring: str) -> str:
    """All of a docstring but its displayed equations."""
    return " ".join(_BLOCK.sub("", cleandoc(docstring) + "\n").split())


def inline(docstring: str) -> list[str]:
    """The mathematics within its prose."""
    return [_plain(each) for each in re.findall(r":math:`([^`]*)`", prose(docstring))]


def _plain(text: str) -> str:
    """LaTeX with every index and every accent in braces; ``f'`` has an accent, too."""
    text = re.sub(r"\\operatorname", r"\\mathrm", " ".join(text.split()))
    text = re.sub(r"([a-z])'(?=_)", r"\\tilde{\1}", text)
    text = re.sub(r"(\\(?:tilde|hat|check|bar)) ?(\\?[A-Za-z]+)(?=[_ ])", r"\1{\2}", text)
    text = re.sub(r"_(\\[A-Za-z]+|[A-Za-z0-9*])", r"_{\1}", text)
    return re.sub(r"_(\{[^{}]*)_\{(\w)\}", r"_\1_{\2}", text)


def _all(line: str) -> Iterator[str]:
    """An equation, and those that it stands for."""
    line, *more = re.split(r"(?:\\quad)?\\text\{ ?and so ?\}(?:\\quad)?", line)
    if found := re.search(r"\\quad ?(?:\\text\{for (?:each )?\} ?)?k = ([^&]*)", line):
        line = line[: found.start()]
        for index in found[1].split(","):
            yield re.sub(r"(?<=[{,_])k(?=[,}])", index.strip(), line)
        return
    yield line
    for other in ",".join(more).split(","):
        if other.strip():
            old, new = (_SYMBOL.search(each) for each in (line, other))
            assert old
            assert new
            right = line.partition("=")[2]
            yield f"{other} = " + re.sub(
                rf"(?<=[{{,_]){_index(old[0])}(?=[,}}])", _index(new[0]), right
            )


def _index(symbol: str) -> str:
    """The letter that names a gate, without its accent."""
    letter = re.search(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])|\\[a-z]+(?=_)", symbol)
    assert letter, symbol
    return letter[0].replace("\\", "\\\\")


def _symbols(equations: list[str]) -> Iterator[tuple[str, bool]]:
    """Each symbol without its time, and whether it had one."""
    for equation in equations:
        for match in _SYMBOL.finditer(_TEXT.sub("", equation)):
            base, _, index = match[0].partition("_{")
            parts = [part for part in index.removesuffix("}").split(",") if part]
            kept = [part for part in parts if not re.match(r"t(?:-1.*)?$", part)]
            name = base + (f"_{{{','.join(kept)}}}" if kept else "")
            if not (_NONE.fullmatch(name) and len(kept) == len(parts)):
                yield name, len(kept) < len(parts)


def constants(equations: list[str]) -> set[str]:
    """The symbols that have no time: parameters and options."""
    return {name for name, varies in _symbols(equations) if not varies}


def defined(equations: list[str]) -> set[str]:
    """The symbols on the left of an equals sign, without their time."""
    return {name for each in equations for name, _ in _symbols([each.partition("=")[0]])}
