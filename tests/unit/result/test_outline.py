from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest

from fastq import FastQ, chord
from fastq._seam import Record
from fastq.cli.main import EXIT_USAGE
from fastq.result.outline import outline


@pytest.fixture
def app() -> Any:
    url = f"memory://{uuid.uuid4().hex}"
    app = FastQ("shop", broker=url, backend=url, set_as_current=False)
    yield app
    app.close()


def store(app: FastQ, task_id: str, state: str = "SUCCESS", children: Any = (), **fields: Any) -> None:
    error = {"exc_type": "ValueError", "exc_message": ["no luck"], "exc_module": "builtins"}
    document = {
        "status": state,
        "result": error if state == "FAILURE" else 1,
        "children": list(children),
        "date_done": "2026-11-22T11:42:22+00:00" if state in ("SUCCESS", "FAILURE") else None,
        "task_id": task_id,
        **fields,
    }
    app.backend.save([Record(task_id, state, "application/json", orjson.dumps(document))])


def leaf(task_id: str) -> Any:
    return [[task_id, None], None]


def test_what_a_task_has_sent_is_walked_level_by_level(app: FastQ) -> None:
    store(app, "first", children=[leaf("second"), [["g", None], [leaf("a"), leaf("b")]]], name="shop.first")
    store(app, "second", "FAILURE", parent_id="first")
    store(app, "a")
    root = outline(app, "first")
    assert root is not None
    assert [(node.id, node.kind, node.state) for node in root.walk()] == [
        ("first", "task", "SUCCESS"),
        ("second", "task", "FAILURE"),
        ("g", "group", "PENDING"),
        ("a", "task", "SUCCESS"),
        ("b", "task", "PENDING"),
    ]
    assert (root.name, root.children[0].error) == ("shop.first", "ValueError: no luck")
    store(app, "b")
    again = outline(app, "second", whole=True)
    assert again is not None
    assert (again.id, again.children[1].state) == ("first", "SUCCESS")
    assert again.children[1].date_done == "2026-11-22T11:42:22+00:00"


def test_a_chord_that_goes_on_shows_how_far_it_has_come(app: FastQ) -> None:
    app.backend.begin_chord("g", 3, {"task": "shop.total", "options": {"task_id": "body"}})
    root = outline(app, "g")
    assert root is not None
    assert (root.kind, root.note) == ("group", "0 of 3 have ended")
    assert [(child.id, child.kind, child.name) for child in root.children] == [("body", "body", "shop.total")]


@pytest.mark.parametrize("how", ["from-the-run-that-sent-it", "from-its-group", "from-its-body"])
def test_a_chord_that_has_ended_shows_its_body_beside_its_header(how: str) -> None:
    url = f"memory://{uuid.uuid4().hex}?clock=hand"
    app: Any = FastQ("shop", broker=url, backend=url, set_as_current=False)
    add, total = app.task(name="shop.add")(lambda x: x), app.task(name="shop.total")(sum)

    def send() -> None:
        chord([add.s(1), add.s(2)], total.s()).apply_async()

    sends = app.task(name="shop.send")(send)
    if how == "from-the-run-that-sent-it":
        task_id = sends.delay().id
    else:
        body = chord([add.s(1), add.s(2)], total.s()).apply_async()
        task_id = body.parent.id if how == "from-its-group" else body.id
    app.testing.run()
    root = outline(app, task_id, whole=True)
    assert root is not None
    found = [(node.kind, node.state) for node in root.walk()]
    app.close()
    header = [("group", "SUCCESS"), ("task", "SUCCESS"), ("task", "SUCCESS"), ("body", "SUCCESS")]
    known = [("group", "SUCCESS"), ("body", "SUCCESS")]
    assert found == ([("task", "SUCCESS"), *header] if how == "from-the-run-that-sent-it" else known)


def test_nothing_is_known_of_an_id_that_nobody_has(app: FastQ) -> None:
    assert outline(app, "nobody") is None


def test_a_circle_in_what_is_stored_is_walked_once(app: FastQ) -> None:
    store(app, "one", children=[leaf("two")], parent_id="two")
    store(app, "two", children=[leaf("one")], parent_id="one")
    root = outline(app, "one", whole=True)
    assert root is not None
    assert len(list(root.walk())) == 3


def run(app: FastQ, *arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        app.start(["workflow", *arguments])
    code = left.value.code
    assert isinstance(code, int)
    return code


def test_the_command_prints_a_tree(app: FastQ, capsys: pytest.CaptureFixture[str]) -> None:
    store(app, "first", children=[leaf("second"), [["g", None], [leaf(str(number)) for number in range(30)]]])
    store(app, "second", "FAILURE")
    for number in range(30):
        store(app, str(number))
    assert run(app, "first") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("SUCCESS first 2026-11-22 11:42:22 (")
    assert lines[1].startswith("├── FAILURE second 2026-11-22")
    assert lines[1].endswith("ValueError: no luck")
    assert lines[2].startswith("└── SUCCESS group g (30 SUCCESS)")
    assert lines[-1] == "    └── … and 10 more: 10 SUCCESS (--all shows them)"
    run(app, "first", "--all")
    assert len(capsys.readouterr().out.splitlines()) == 33


def test_the_command_prints_json_and_dot(app: FastQ, capsys: pytest.CaptureFixture[str]) -> None:
    store(app, "first", children=[leaf("second")])
    assert run(app, "first", "--json") == 75
    assert orjson.loads(capsys.readouterr().out)["children"][0]["state"] == "PENDING"
    run(app, "first", "--dot")
    dot = capsys.readouterr().out
    assert dot.startswith("digraph workflow {")
    assert '"first" -> "second";' in dot
    assert run(app, "nobody") == 75
    assert run(app, "first", "--dot", "--json") == EXIT_USAGE
