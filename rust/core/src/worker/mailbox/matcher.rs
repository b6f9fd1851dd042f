//! Which workers a remote command is meant for: patterns of their names, in the two languages that Celery knows. Pure.

use fancy_regex::RegexBuilder;

use crate::error::{Error, ErrorKind, Result};

/// So many steps back a regular expression may take: whoever wrote it must not hold the worker up.
const MOST_STEPS: usize = 100_000;

/// How a pattern is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matcher {
    /// As those of shells: `*`, `?` and `[…]`, for the whole name.
    Glob,
    /// A regular expression that matches at the beginning of the name, as `re.match` of Python.
    Regex,
}

impl Matcher {
    /// The matcher that Celery calls so; by default `glob`.
    ///
    /// # Errors
    /// `Config` when there is none of that name.
    pub(super) fn named(name: Option<&str>) -> Result<Self> {
        match name {
            None | Some("glob") => Ok(Self::Glob),
            Some("pcre") => Ok(Self::Regex),
            Some(name) => {
                let shown: String = name.chars().take(40).collect();
                Err(Error::new(ErrorKind::Config, "there is no matcher of that name; use glob or pcre")
                    .with("matcher", shown))
            }
        }
    }

    /// Whether a name matches a pattern.
    ///
    /// # Errors
    /// `Config` when the pattern is no regular expression, or one that goes too far.
    pub(super) fn matches(self, pattern: &str, name: &str) -> Result<bool> {
        if self == Self::Glob {
            return Ok(glob(pattern.as_bytes(), name.as_bytes()));
        }
        let whole = format!(r"\A(?:{pattern})");
        let useless = |error: fancy_regex::Error| {
            let shown: String = pattern.chars().take(100).collect();
            Error::new(ErrorKind::Config, "the pattern is no regular expression that can be used here")
                .with("pattern", shown)
                .because(error)
        };
        let expression = RegexBuilder::new(&whole).backtrack_limit(MOST_STEPS).build().map_err(useless)?;
        expression.is_match(name).map_err(useless)
    }
}

/// Whether a name matches a pattern of shells: `*`, `?` and `[…]`, as Python's `fnmatch`. In steps that are at most as
/// many as pattern and name are long, multiplied.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, name);
    // Where to go on when the star that came last has to take one letter more.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest.first(), left.first()) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                rest = &rest[1..];
                star = Some((rest, left));
            }
            (_, letter) => match letter.and_then(|letter| one(rest, *letter)) {
                Some(after) => (rest, left) = (after, &left[1..]),
                None => match star {
                    Some((after, taken)) if !taken.is_empty() => {
                        (rest, left) = (after, &taken[1..]);
                        star = Some((after, left));
                    }
                    _ => return false,
                },
            },
        }
    }
}

/// What follows the first piece of a pattern, if that piece matches a letter.
fn one(pattern: &[u8], letter: u8) -> Option<&[u8]> {
    match pattern.first()? {
        b'?' => Some(&pattern[1..]),
        b'[' => match class(&pattern[1..], letter) {
            Some((matches, rest)) => matches.then_some(rest),
            None => (letter == b'[').then_some(&pattern[1..]),
        },
        wanted => (*wanted == letter).then_some(&pattern[1..]),
    }
}

/// Whether a letter is of the class that a pattern begins with, and what follows it; `None`: it never ends.
fn class(pattern: &[u8], letter: u8) -> Option<(bool, &[u8])> {
    let negated = pattern.first() == Some(&b'!');
    let inner = &pattern[usize::from(negated)..];
    // A bracket that stands first is one of the class.
    let end = inner.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let (members, rest) = (&inner[..end], &inner[end + 1..]);
    let mut found = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == b'-' {
            found |= (members[at]..=members[at + 2]).contains(&letter);
            at += 3;
        } else {
            found |= members[at] == letter;
            at += 1;
        }
    }
    Some((found != negated, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_shells() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[ab]x", "bx", true),
            ("[!ab]x", "bx", false),
            ("[a-c]x", "cx", true),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("**x**", "yxy", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn expressions_match_at_the_beginning_as_those_of_python() {
        for (pattern, name, expected) in [
            ("fastq@", "fastq@shop", true),
            ("shop", "fastq@shop", false),
            ("fastq@(shop|bar)$", "fastq@shop", true),
            ("a|fastq@shop", "fastq@shop", true),
            ("(?i)FASTQ", "fastq@shop", true),
            ("fastq@(?!bar)", "fastq@shop", true),
            ("fastq@(?!shop)", "fastq@shop", false),
            (r"(?P<letter>o)(?P=letter)", "oops", true),
        ] {
            assert_eq!(Matcher::Regex.matches(pattern, name).unwrap(), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_expression_that_goes_too_far_is_an_error() {
        let name = format!("fastq@{}!", "a".repeat(60));
        assert!(Matcher::Regex.matches(r"(?=fastq)fastq@(a+)+(?<=b)$", &name).is_err());
    }
}
