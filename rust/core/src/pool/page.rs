//! The slot page: memory that a worker shares with its children, so that "started" costs no system call.
//!
//! # Format
//! ```text
//! slot i owns the 64-bit words 4·i … 4·i+3 (native byte order, the page never leaves the host)
//!   CLAIM    sequence number of the last job this slot's child started; bit 63 set: closed by the parent; bit 62 set,
//!            too: the parent ends the run of that job, and the signal that comes is meant for it
//!   TAG      tag of that job while it runs, else 0 (for SQLite: the message's row id, so that a reaper can look it up)
//!   SINCE    nanoseconds of CLOCK_MONOTONIC when it started
//!   PERMITS  how many jobs the slot runs at the same time; with more than one TAG and SINCE tell of one of them only
//! ```
//! A child starts job number `s` by exchanging CLAIM from `s - 1` to `s`; when that fails the parent has closed the
//! slot and taken the job back, and the child drops it and says so. The parent takes back what it sent to a child that stalls or
//! died by setting bit 63: from then on nothing above the sequence number it read can start. When the
//! child has said of each that it dropped it, the parent reopens the slot by storing the number of the last job it had
//! sent: a child that is not getting on at all is not sent more and more. So a job runs in one child or the other, never in both.
//!
//! Mapping memory needs `unsafe`, so the bridge does it; the core knows this trait.

/// Words per slot.
pub const WORDS_PER_SLOT: usize = 4;
/// Slots a page has room for.
pub const SLOTS: usize = 1024;
/// Bytes of a page.
pub const PAGE_BYTES: usize = SLOTS * WORDS_PER_SLOT * 8;
/// Offset of the CLAIM word.
pub const CLAIM: usize = 0;
/// Offset of the TAG word.
pub const TAG: usize = 1;
/// Offset of the SINCE word.
pub const SINCE: usize = 2;
/// Offset of the PERMITS word.
pub const PERMITS: usize = 3;
/// Set in CLAIM by the parent: nothing more may start.
pub const CLOSED: u64 = 1 << 63;
/// Set in CLAIM by the parent, beside [`CLOSED`]: the run that was started last is to be ended.
pub const ENDING: u64 = 1 << 62;

/// The number of the last job that was started, of a CLAIM word.
pub const fn started(claim: u64) -> u64 {
    claim & !(CLOSED | ENDING)
}

/// Shared words with sequentially consistent access. An index past the page reads 0 and writes nothing.
pub trait Page: Send + Sync {
    /// Reads a word.
    fn load(&self, word: usize) -> u64;
    /// Writes a word.
    fn store(&self, word: usize, value: u64);
    /// Writes `new` if the word is `current`; the error is what it was.
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64>;
}
