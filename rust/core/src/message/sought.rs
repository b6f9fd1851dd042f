//! Looking for a text in messages: in their headers, and in bodies, which envelopes have as base64. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

/// Said in the headers of a message whose body cannot be read here, as fastq and as Celery write it.
const COMPRESSED: [&[u8]; 2] = [br#""compression":""#, br#""compression": ""#];

/// What the release of a chord says that the core has sent: it names the chord, and is none of its members.
const RELEASE: &[u8] = br#""task":"fastq.chord_release""#;

/// A text that is looked for, in all messages but the release of the chord that has it for its group.
pub struct Sought {
    needles: Vec<Vec<u8>>,
    /// How the body of that release begins.
    own: Vec<u8>,
}

impl Sought {
    /// In a message whose headers and body are at hand.
    pub fn plain(text: &str) -> Self {
        let needles = COMPRESSED.iter().map(|said| said.to_vec()).chain([text.as_bytes().to_vec()]);
        Self { needles: needles.collect(), own: own(text).into_bytes() }
    }

    /// In an envelope, and in one that is a text of JSON itself: its quotes are escaped there.
    pub fn sealed(text: &str) -> Self {
        let mut sought = Self::plain(text);
        sought.own = encoded(&own(text), 0);
        let escaped = COMPRESSED.map(|said| String::from_utf8_lossy(said).replace('"', "\\\"").into_bytes());
        sought.needles.extend(escaped);
        sought.needles.extend((0..3).map(|before| encoded(text, before)));
        sought
    }

    /// What is looked for: a message that has one of them says it, unless it is the release.
    #[cfg(feature = "redis")]
    pub(crate) fn needles(&self) -> impl Iterator<Item = &[u8]> {
        self.needles.iter().map(Vec::as_slice)
    }

    /// What the release has that is none of the members, both of them.
    #[cfg(feature = "redis")]
    pub(crate) fn release(&self) -> [&[u8]; 2] {
        [RELEASE, &self.own]
    }

    /// Whether a message says it; also when it cannot be told, because its body is compressed. `body`: empty where
    /// `headers` are the whole envelope.
    pub fn may_be_in(&self, headers: &[u8], body: &[u8]) -> bool {
        let parts = [headers, body];
        let says = |needle: &[u8]| parts.iter().any(|part| memmem::find(part, needle).is_some());
        let is_own = memmem::find(headers, RELEASE).is_some() && says(&self.own);
        !is_own && self.needles.iter().any(|needle| says(needle))
    }
}

/// How the body of the release begins of the chord that has this group.
fn own(group_id: &str) -> String {
    format!("[[\"{group_id}\"]")
}

/// What is left of a text in base64, wherever it begins there: three bytes are four letters, and those at the edges
/// depend on what stands beside it. So of the last byte not all may be compared: who looks is told "yes" too often then.
fn encoded(text: &str, before: usize) -> Vec<u8> {
    let bytes = [vec![0; before], text.as_bytes().to_vec()].concat();
    let whole = bytes.len() / 3 * 4 + bytes.len() % 3;
    let letters = STANDARD.encode(&bytes).into_bytes();
    let first = if before == 0 { 0 } else { 4 };
    letters[first..whole.max(first)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a22922-6402-7217-8579-10cf0496a024";

    #[test]
    fn a_text_is_found_in_base64_wherever_it_begins() {
        let sought = Sought::sealed(ID);
        for before in 0..7 {
            let body = format!("{}{ID}\"}}]", "x".repeat(before));
            assert!(sought.may_be_in(STANDARD.encode(body).as_bytes(), b""), "after {before} bytes");
        }
        assert!(sought.may_be_in(ID.as_bytes(), b""));
        let other =
            STANDARD.encode("[[],{},{\"chord\":{\"task\":\"01a22922-6402-7217-8579-10cf0496b024\"}}]");
        assert!(!sought.may_be_in(other.as_bytes(), b""));
    }

    #[test]
    fn the_release_of_a_chord_is_not_one_of_its_members() {
        let own = format!(r#"[["{ID}"],{{}},{{}}]"#);
        let other = format!(r#"[["another"],{{"callback":{{"kwargs":{{"within":["{ID}"]}}}}}},{{}}]"#);
        for (task, body, is_in) in [
            ("shop.add", &own, true),
            ("fastq.chord_release", &own, false),
            ("fastq.chord_release", &other, true),
        ] {
            let headers = format!(r#"{{"task":"{task}"}}"#);
            assert_eq!(
                Sought::plain(ID).may_be_in(headers.as_bytes(), body.as_bytes()),
                is_in,
                "{task} {body}"
            );
            let envelope = format!(r#"{{"body":"{}","headers":{headers}}}"#, STANDARD.encode(body));
            assert_eq!(Sought::sealed(ID).may_be_in(envelope.as_bytes(), b""), is_in, "{envelope}");
        }
    }

    #[test]
    fn a_body_that_cannot_be_read_may_say_anything() {
        for headers in [r#"{"compression":"application/x-gzip"}"#, r#"{"compression": "application/zstd"}"#] {
            assert!(Sought::plain(ID).may_be_in(headers.as_bytes(), b""), "{headers}");
            assert!(Sought::sealed(ID).may_be_in(headers.replace('"', "\\\"").as_bytes(), b""), "{headers}");
        }
        assert!(!Sought::plain(ID).may_be_in(br#"{"compression":null}"#, b""));
    }
}
