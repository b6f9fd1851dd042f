//! ISO 8601 in, instants out (`eta` and `expires`, protocol.md §1.1).

use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};

/// Reads an ISO 8601 date and time; text without an offset is UTC.
///
/// # Errors
/// `Decode` when the text is no date and time.
pub fn parse(text: &str) -> Result<WallTime> {
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(text, &Iso8601::DEFAULT))
        .or_else(|_| PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).map(PrimitiveDateTime::assume_utc))
        .map_err(|error| {
            Error::new(ErrorKind::Decode, "not an ISO 8601 date and time").with("text", text).because(error)
        })?;
    Ok(WallTime((moment.unix_timestamp_nanos() / 1_000_000) as i64))
}

/// Writes a moment as Celery writes it: `2026-11-22T11:42:22.216000+00:00`.
pub fn format(moment: WallTime) -> String {
    let nanoseconds = i128::from(moment.0) * 1_000_000;
    let Ok(date) = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds) else { return String::new() };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00",
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
        date.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_celery_writes_is_read() {
        for (text, milliseconds) in [
            ("2026-11-22T11:42:22.216546+00:00", 1_795_347_742_216),
            ("2026-11-22T11:42:22+00:00", 1_795_347_742_000),
            ("2026-11-22T13:42:22.216546+02:00", 1_795_347_742_216),
            ("2026-11-22T11:42:22.216546", 1_795_347_742_216),
            ("2026-11-22T11:42:22Z", 1_795_347_742_000),
        ] {
            assert_eq!(parse(text).unwrap(), WallTime(milliseconds), "{text}");
        }
        assert_eq!(parse("tomorrow").unwrap_err().kind(), ErrorKind::Decode);
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(format(WallTime(1_795_347_742_216)), "2026-11-22T11:42:22.216000+00:00");
        assert_eq!(parse(&format(WallTime(1_795_347_742_216))).unwrap(), WallTime(1_795_347_742_216));
    }
}
