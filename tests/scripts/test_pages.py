"""Drawing the states, and checking links."""

from __future__ import annotations

from pathlib import Path

import pytest

import links
import states


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A --go--> B", [("A", "go", "B")]),
        ("A --go--> B --stop--> A", [("A", "go", "B"), ("B", "stop", "A")]),
        ("A, B --end--> C     (it leaves)", [("A", "end", "C"), ("B", "end", "C")]),
        ("any --end--> C", [("A", "end", "C"), ("B", "end", "C")]),
        ("any but B --end--> C", [("A", "end", "C")]),
        ("no arrow here", []),
    ],
)
def test_arrows_are_read_from_a_line(line: str, expected: list[tuple[str, str, str]]) -> None:
    assert list(states.arrows([line], ("A", "B", "C"))) == expected


def test_a_table_becomes_changes_of_state() -> None:
    lines = [
        "| is | input | becomes | effects |",
        "|---|---|---|---|",
        "| – | Come | In, first | |",
        "| In | Go | settled | x |",
    ]

    rows = states.table(lines)

    assert list(states.job_arrows(rows)) == [("[*]", "Come", "In"), ("In", "Go", "[*]")]


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other page, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md) [b](other.md#other-page-with-code) [c](gone.md) [d](other.md#gone) `[e](gone.md)`")

    assert list(links.broken_links(page, tmp_path)) == [
        "page.md: gone.md does not exist",
        "page.md: other.md#gone has no such heading",
    ]
