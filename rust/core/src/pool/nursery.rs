//! The parent's side of the nursery: the process, forked before any thread was born, that alone forks children.
//!
//! The core talks to it without Python, so a dead child is replaced even while the interpreter is held.
//!
//! # Format
//! Records of 16 bytes, four little-endian 32-bit integers: kind, slot, pid, status.
//! ```text
//! to the nursery     1 SPAWN slot 0 0       with SCM_RIGHTS [the child's socket, the slot page]
//!                    2 QUIT  0 0 0          kill what is left, reap, exit
//! from the nursery   1 BORN   slot pid 0
//!                    2 GONE   slot pid status   as waitpid tells it
//!                    3 FAILED slot 0 errno      the fork failed
//! ```

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::ident::SlotId;

const RECORD_BYTES: usize = 16;
/// Records read at once.
const READ_BYTES: usize = 64 * RECORD_BYTES;

const SPAWN: u32 = 1;
const QUIT: u32 = 2;
const BORN: u32 = 1;
const GONE: u32 = 2;
const FAILED: u32 = 3;

/// What the nursery tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NurseryEvent {
    /// A child was forked for the slot; it says hello on its link when it is ready.
    Born {
        /// Whose.
        slot: SlotId,
        /// Its process.
        pid: u32,
    },
    /// A child was reaped. Its link tells of its end by end of file, sooner or later than this.
    Gone {
        /// Whose.
        slot: SlotId,
        /// Its process.
        pid: u32,
        /// As `waitpid` tells it.
        status: i32,
    },
    /// No child could be forked.
    Failed {
        /// Whose.
        slot: SlotId,
        /// Why.
        errno: i32,
    },
    /// The nursery is gone, and its children with it or soon after; nothing follows.
    Closed,
}

/// The connection to the nursery. Dropping it ends the nursery: it takes the end of file for the parent's death.
#[derive(Debug)]
pub struct Nursery {
    socket: Arc<UnixStream>,
    page: OwnedFd,
    reader: AbortHandle,
}

impl Nursery {
    /// Begins to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Unreachable` when the socket cannot be watched.
    pub fn new(socket: OwnedFd, page: OwnedFd, events: mpsc::UnboundedSender<NurseryEvent>) -> Result<Self> {
        let watch = |socket: StdUnixStream| {
            socket.set_nonblocking(true)?;
            UnixStream::from_std(socket)
        };
        let socket = watch(socket.into()).map_err(|error| unreachable("watch", error))?;
        let socket = Arc::new(socket);
        let reader = tokio::spawn(read(Arc::clone(&socket), events)).abort_handle();
        Ok(Self { socket, page, reader })
    }

    /// Asks for a child and returns the parent's end of its socket pair.
    ///
    /// # Errors
    /// `Unreachable` when the nursery is gone, `Busy` when it does not read or descriptors have run out.
    pub fn spawn(&self, slot: SlotId) -> Result<StdUnixStream> {
        let (ours, theirs) = StdUnixStream::pair()
            .map_err(|error| Error::new(ErrorKind::Busy, "no socket pair").because(error))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [theirs.as_fd(), self.page.as_fd()];
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(Error::new(ErrorKind::Unexpected, "no room for two descriptors"));
        }
        self.send(&encode(SPAWN, slot.0), &mut ancillary)?;
        Ok(ours)
    }

    /// Asks it to kill what is left, reap and exit; [`NurseryEvent::Closed`] tells when it has.
    ///
    /// # Errors
    /// `Unreachable` when it is gone already.
    pub fn quit(&self) -> Result<()> {
        self.send(&encode(QUIT, 0), &mut SendAncillaryBuffer::default())
    }

    fn send(&self, record: &[u8], ancillary: &mut SendAncillaryBuffer<'_, '_, '_>) -> Result<()> {
        loop {
            match sendmsg(&*self.socket, &[IoSlice::new(record)], ancillary, SendFlags::NOSIGNAL) {
                // A stream socket takes so little whole or not at all.
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    return Err(Error::new(ErrorKind::Busy, "the nursery does not answer"));
                }
                Err(errno) => return Err(unreachable("send", errno)),
            }
        }
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads records until the end of file.
async fn read(socket: Arc<UnixStream>, events: mpsc::UnboundedSender<NurseryEvent>) {
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        match socket.readable().await.and_then(|()| socket.try_read_buf(&mut buffer)) {
            Ok(0) => break,
            Ok(_) => {
                let (records, rest) = buffer.as_chunks::<RECORD_BYTES>();
                for event in records.iter().filter_map(parse) {
                    if events.send(event).is_err() {
                        return;
                    }
                }
                let rest = rest.len();
                buffer.drain(..buffer.len() - rest);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
    }
    let _ = events.send(NurseryEvent::Closed);
}

fn encode(kind: u32, slot: u32) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..4].copy_from_slice(&kind.to_le_bytes());
    record[4..8].copy_from_slice(&slot.to_le_bytes());
    record
}

/// Reads one record; `None` for a kind that is not known.
fn parse(record: &[u8; RECORD_BYTES]) -> Option<NurseryEvent> {
    let word = |position: usize| {
        let bytes = record[position * 4..].first_chunk::<4>().copied().unwrap_or_default();
        u32::from_le_bytes(bytes)
    };
    let (slot, pid, status) = (SlotId(word(1)), word(2), word(3).cast_signed());
    match word(0) {
        BORN => Some(NurseryEvent::Born { slot, pid }),
        GONE => Some(NurseryEvent::Gone { slot, pid, status }),
        FAILED => Some(NurseryEvent::Failed { slot, errno: status }),
        _ => None,
    }
}

fn unreachable(operation: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unreachable, "the nursery is gone").during(operation).because(source)
}

#[cfg(test)]
mod tests;
