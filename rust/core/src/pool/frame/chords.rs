//! What a run has to do with chords, as part of a FINISHED frame.

use bytes::{BufMut, BytesMut};

use super::{Reader, field_bytes, put_field};
use crate::error::Result;
use crate::store::{Chords, NewChord, Part};

/// Two empty fields and a size.
const CHORD_LEAST_BYTES: usize = 2 * 4 + 4;
/// Five empty fields and a place.
const PART_LEAST_BYTES: usize = 5 * 4 + 4;
/// A place that is none.
const NO_PLACE: u32 = u32::MAX;

/// Bytes that chords take on the pipe.
pub(super) fn chords_size(chords: &Chords) -> usize {
    let begun = chords
        .begun
        .iter()
        .map(|chord| field_bytes(chord.group_id.len()) + 4 + field_bytes(chord.body.len()))
        .sum::<usize>();
    let part = |part: &Part| {
        let fields = [&part.group_id, &part.task_id, &part.state].map(|text| field_bytes(text.len()));
        fields.iter().sum::<usize>() + 4 + field_bytes(part.body.len()) + field_bytes(part.callback.len())
    };
    let ended = chords.ended.as_deref().unwrap_or_default();
    4 + begun + 4 + chords.parts.iter().map(part).sum::<usize>() + field_bytes(ended.len())
}

/// Appends chords.
pub(super) fn put_chords(out: &mut BytesMut, chords: &Chords) {
    out.put_u32_le(chords.begun.len() as u32);
    for chord in &chords.begun {
        put_field(out, chord.group_id.as_bytes());
        out.put_u32_le(chord.size);
        put_field(out, &chord.body);
    }
    out.put_u32_le(chords.parts.len() as u32);
    for part in &chords.parts {
        put_field(out, part.group_id.as_bytes());
        put_field(out, part.task_id.as_bytes());
        out.put_u32_le(part.place.unwrap_or(NO_PLACE));
        put_field(out, part.state.as_bytes());
        put_field(out, &part.body);
        put_field(out, &part.callback);
    }
    put_field(out, chords.ended.as_deref().unwrap_or_default().as_bytes());
}

/// Reads chords.
///
/// # Errors
/// `Decode` when they are none.
pub(super) fn take_chords(reader: &mut Reader<'_>) -> Result<Chords> {
    let mut chords = Chords::default();
    for _ in 0..reader.count(CHORD_LEAST_BYTES)? {
        chords.begun.push(NewChord {
            group_id: reader.text()?.to_owned(),
            size: reader.u32()?,
            body: reader.field()?.to_vec(),
        });
    }
    for _ in 0..reader.count(PART_LEAST_BYTES)? {
        chords.parts.push(Part {
            group_id: reader.text()?.to_owned(),
            task_id: reader.text()?.to_owned(),
            place: Some(reader.u32()?).filter(|place| *place != NO_PLACE),
            state: reader.text()?.to_owned(),
            body: reader.field()?.to_vec(),
            callback: reader.field()?.to_vec(),
        });
    }
    chords.ended = Some(reader.text()?).filter(|group_id| !group_id.is_empty()).map(str::to_owned);
    Ok(chords)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn part() -> impl Strategy<Value = Part> {
        let bytes = (vec(any::<u8>(), 0..30), vec(any::<u8>(), 0..30));
        ("\\PC{0,9}", "\\PC{0,9}", proptest::option::of(0..NO_PLACE), "[A-Z]{0,9}", bytes).prop_map(
            |(group_id, task_id, place, state, (body, callback))| Part {
                group_id,
                task_id,
                place,
                state,
                body,
                callback,
            },
        )
    }

    pub(in crate::pool::frame) fn chords() -> impl Strategy<Value = Option<Box<Chords>>> {
        let begun = ("\\PC{0,9}", any::<u32>(), vec(any::<u8>(), 0..30))
            .prop_map(|(group_id, size, body)| NewChord { group_id, size, body });
        let chords = (vec(begun, 0..3), vec(part(), 0..3), proptest::option::of("\\PC{1,9}"))
            .prop_map(|(begun, parts, ended)| Box::new(Chords { begun, parts, ended }));
        proptest::option::of(chords)
    }
}
