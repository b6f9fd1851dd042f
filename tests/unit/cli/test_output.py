from __future__ import annotations

import json
import time
import warnings

import pytest

from fastq.cli.output import ago, print_json, print_table, print_value, warnings_in_a_line


def test_where_there_is_no_terminal_a_table_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("Queue", "Ready"), [("celery", 5), ("mail", 12), ("rest", None)])
    assert capsys.readouterr().out.splitlines() == ["queue   ready", "celery      5", "mail       12", "rest        -"]


def test_a_table_without_rows_is_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("Queue", "Ready"), [])
    assert capsys.readouterr().out == "queue  ready\n"


@pytest.mark.parametrize(
    ("value", "printed"),
    [("text", "text"), (5, "5"), (None, "null"), ([1, "a"], '[1,"a"]'), ({1, 2}, "{1, 2}"), ([2**70], f"[{2**70}]")],
)
def test_a_result_is_printed_as_a_program_can_read_it(
    value: object, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_value(value)
    assert capsys.readouterr().out == f"{printed}\n"


def test_a_text_that_is_not_unicode_is_printed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_value("a\ud800")
    assert capsys.readouterr().out == "a\\ud800\n"


def test_json_keeps_integers_beyond_64_bits(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"result": 2**70, "bytes": b"a"})
    assert json.loads(capsys.readouterr().out) == {"result": 2**70, "bytes": "a"}


def test_a_warning_is_a_line_without_code(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings_in_a_line():
        warnings.warn("expires is past", stacklevel=1)
    assert capsys.readouterr().err == "Warning: expires is past\n"


def test_json_takes_what_json_does_not_know_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"bytes": b"\xffa", "set": {1}})
    assert capsys.readouterr().out == '{\n  "bytes": "\ufffda",\n  "set": "{1}"\n}\n'


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "3 s"), (150, "2 min"), (7200, "2 h"), (200_000, "2 d"), (-5, "0 s")]
)
def test_how_long_ago_is_said_in_one_unit(seconds: float, words: str) -> None:
    assert ago(time.time() - seconds) == words
