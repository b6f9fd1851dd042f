"""Reading Rust well enough to check its floors."""

from __future__ import annotations

from pathlib import Path

import pytest

import rust_source


@pytest.mark.parametrize(
    ("code", "module", "expected"),
    [
        ("use crate::message::Message;", "broker", ["message::Message"]),
        (
            "use crate::{error::Result, job::{self, ending::Commit}};",
            "broker",
            ["error::Result", "job", "job::ending::Commit"],
        ),
        ("use super::Thing;", "pool::frame", ["pool::Thing"]),
        ("use super::super::job::Job;", "pool::frame::outcome", ["pool::job::Job"]),
        ("fn f() -> crate::error::Error { todo!() }", "broker", ["error::Error"]),
        ("use crate::job::Job as Work;", "broker", ["job::Job"]),
        ("pub(crate) fn f() {}", "broker", [""]),
    ],
)
def test_every_path_through_crate_or_super_is_found(code: str, module: str, expected: list[str]) -> None:
    assert [path for _, path in rust_source.named_paths(code, module)] == expected


def test_comments_strings_and_test_modules_are_not_code() -> None:
    text = "\n".join(
        [
            "//! see [`crate::worker`]",
            'const A: &str = "crate::worker { \\" }";',
            'const B: &str = r#"crate::worker "{" "#;',
            "const C: char = '{';",
            "fn life<'a>(x: &'a str) -> &'a str { x }",
            "#[cfg(test)]",
            "pub(in super::super) mod tests { use crate::worker::Worker; }",
            "use crate::error::Result;",
        ]
    )

    code = rust_source.code_only(text)

    assert list(rust_source.named_paths(code, "broker")) == [(8, "error::Result")]
    assert code.count("\n") == text.count("\n")


def test_the_length_of_a_function_is_counted_from_its_signature_to_its_brace() -> None:
    code = "trait T { fn none(&self) -> [u8; 3]; }\n\npub(crate) async fn long(\n    a: u8,\n) -> () {\n    a\n}\n"

    assert list(rust_source.functions(code)) == [(3, "long", 5)]


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("lib.rs", ""),
        ("error.rs", "error"),
        ("broker/mod.rs", "broker"),
        ("broker/sqlite/publish.rs", "broker::sqlite::publish"),
    ],
)
def test_a_file_is_named_as_its_module(file: str, module: str) -> None:
    assert rust_source.module_of(Path("src") / file, Path("src")) == module
