"""What floors.py must know of a Rust file: its module, the paths it names, how long its functions are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_TOKEN = re.compile(
    r"""//[^\n]*                                   # a line comment
      | /\*.*?\*/                                 # a block comment
      | b?r(?P<hashes>\#*)".*?"(?P=hashes)        # a raw string
      | b?"(?:\\.|[^"\\])*"                       # a string
      | b?'(?:\\(?:x..|u\{.*?\}|.)|[^'\\\n])'     # a character, which a lifetime is not
    """,
    re.DOTALL | re.VERBOSE,
)
_TEST_MODULE = re.compile(
    r"#\[cfg\((?:test|all\(test\b[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*\{"
)
_FUNCTION = re.compile(
    r"^[ \t]*(?:pub(?:\([^)]*\))?\s+)?(?:const\s+)?(?:async\s+)?(?:unsafe\s+)?fn\s+(\w+)", re.MULTILINE
)
_PATH = re.compile(r"\b(crate|super)((?:\s*::\s*(?:\w+))*)(\s*::\s*\{)?")


def code_only(text: str) -> str:
    """Return the text with comments, strings and test modules blanked; lines keep their numbers."""
    code = _TOKEN.sub(lambda match: _blank(match.group()), text)
    while found := _TEST_MODULE.search(code):
        end = closing(code, found.end() - 1)
        code = code[: found.start()] + _blank(code[found.start() : end]) + code[end:]
    return code


def closing(code: str, opening: int) -> int:
    """Return the offset behind the brace that closes the one at `opening`."""
    depth = 0
    for offset in range(opening, len(code)):
        if code[offset] == "{":
            depth += 1
        elif code[offset] == "}":
            depth -= 1
            if depth == 0:
                return offset + 1
    return len(code)


def module_of(file: Path, source: Path) -> str:
    """Return the module path of a file below `source`: `broker::sqlite` for broker/sqlite/mod.rs, "" for lib.rs."""
    parts = list(file.relative_to(source).with_suffix("").parts)
    if parts[-1] in ("mod", "lib"):
        parts.pop()
    return "::".join(parts)


def named_paths(code: str, module: str) -> Iterator[tuple[int, str]]:
    """Yield line and full path (without `crate::`) of all that the code names through `crate` or `super`."""
    for match in _PATH.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        segments = re.findall(r"\w+", match.group(2))
        base = [] if match.group(1) == "crate" else module.split("::")[:-1]
        while segments and segments[0] == "super":
            base, segments = base[:-1], segments[1:]
        prefix = base + segments
        if match.group(3) is None:
            yield line, "::".join(prefix)
            continue
        opening = match.end() - 1
        for leaf in _leaves(code[opening + 1 : closing(code, opening) - 1]):
            yield line, "::".join([*prefix, *leaf])


def functions(code: str) -> Iterator[tuple[int, str, int]]:
    """Yield line, name and length in lines of every function that has a body."""
    for match in _FUNCTION.finditer(code):
        opening = _body(code, match.end())
        if opening is not None:
            start = match.start() + len(match.group()) - len(match.group().lstrip())
            end = closing(code, opening)
            yield code.count("\n", 0, start) + 1, match.group(1), code.count("\n", start, end) + 1


def _leaves(tree: str) -> Iterator[list[str]]:
    """Yield the paths of a use tree: `a, b::{c, d}` gives a, b::c, b::d."""
    depth = start = 0
    for offset, character in enumerate(tree + ","):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        elif character == "," and depth == 0:
            branch = tree[start:offset].strip()
            start = offset + 1
            head, brace, inner = branch.partition("{")
            segments = re.findall(r"\w+", head.split(" as ")[0])
            if brace:
                for leaf in _leaves(inner.rstrip().removesuffix("}")):
                    yield [*segments, *leaf]
            elif segments:
                yield segments[:-1] if segments[-1] == "self" else segments


def _body(code: str, after: int) -> int | None:
    """Return the offset of a function's opening brace; None for a declaration without a body."""
    depth = 0
    for offset in range(after, len(code)):
        character = code[offset]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth == 0 and character == ";":
            return None
        elif depth == 0 and character == "{":
            return offset
    return None


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
