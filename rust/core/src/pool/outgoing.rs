//! What an executor has to say, gathered until it is worth a write.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use nix::sys::signal::SigSet;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::frame::{self, Kind};
use super::port::{broken, lock, monotonic};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::Tag;

/// More frames than this are not held back.
const MOST_FRAMES: usize = 16;
/// More bytes than this are not held back.
const MOST_BYTES: usize = 64 * 1024;
/// Nothing is held back for longer.
const LONGEST: Duration = Duration::from_millis(1);

/// Whether what is gathered is worth a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`Enough` asks for a flush"]
pub enum Gathered {
    /// It may lie until the next wait.
    ForLater,
    /// It should be sent now.
    Enough,
}

/// Gathers frames and writes them to the socket.
pub(super) struct Outgoing {
    socket: Arc<UnixStream>,
    /// Held during a write, so that frames of two threads cannot mix.
    state: Mutex<State>,
    /// Rung when the flusher has something to watch, or must end.
    bell: Condvar,
}

#[derive(Default)]
struct State {
    buffer: BytesMut,
    frames: usize,
    /// When the oldest frame of the buffer was put there.
    oldest: u64,
    /// Nobody reads any more; what is put is dropped.
    deaf: bool,
    flusher: Flusher,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Flusher {
    #[default]
    Unborn,
    /// It waits for the bell.
    Asleep,
    /// It will look at the buffer within a millisecond.
    Watching,
    Closed,
}

impl Outgoing {
    pub(super) fn new(socket: Arc<UnixStream>) -> Self {
        Self { socket, state: Mutex::new(State::default()), bell: Condvar::new() }
    }

    /// Adds what `encode` writes, and tells whether it is time to send.
    pub(super) fn put(&self, encode: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<Gathered> {
        let mut state = lock(&self.state);
        if state.deaf {
            return Ok(Gathered::ForLater);
        }
        encode(&mut state.buffer)?;
        let now = monotonic();
        if state.frames == 0 {
            state.oldest = now;
        }
        state.frames += 1;
        let enough = state.frames > MOST_FRAMES || state.buffer.len() > MOST_BYTES || state.is_late(now);
        Ok(if enough { Gathered::Enough } else { Gathered::ForLater })
    }

    /// Adds a frame without payload.
    pub(super) fn put_bare(&self, kind: Kind, tag: Tag) {
        let _ = self.put(|out| {
            frame::encode_bare(out, kind, tag);
            Ok(())
        });
    }

    /// Sends what is gathered.
    pub(super) fn flush(&self) -> Result<()> {
        self.write(&mut lock(&self.state))
    }

    /// User code is about to run for nobody knows how long: sees to it that what is gathered goes out in time.
    pub(super) fn expect_absence(self: &Arc<Self>, now: u64) -> Result<()> {
        let mut state = lock(&self.state);
        if state.frames == 0 {
            return Ok(());
        }
        if state.is_late(now) {
            return self.write(&mut state);
        }
        match state.flusher {
            Flusher::Watching | Flusher::Closed => {}
            Flusher::Asleep => {
                state.flusher = Flusher::Watching;
                self.bell.notify_one();
            }
            Flusher::Unborn => {
                let outgoing = Arc::clone(self);
                thread::Builder::new()
                    .name("fastq-flush".into())
                    .stack_size(64 * 1024)
                    .spawn(move || outgoing.watch())
                    .map_err(|error| Error::new(ErrorKind::Busy, "no thread for the port").because(error))?;
                state.flusher = Flusher::Watching;
            }
        }
        Ok(())
    }

    /// Ends the flusher.
    pub(super) fn close(&self) {
        lock(&self.state).flusher = Flusher::Closed;
        self.bell.notify_one();
    }

    /// The flusher: looks once a millisecond while something is gathered, and sleeps when nothing is.
    fn watch(&self) {
        // Signals are for the main thread: only there do they end what user code waits for.
        let _ = SigSet::all().thread_block(); // the set is valid, and else it cannot fail
        let mut state = lock(&self.state);
        loop {
            state = match state.flusher {
                Flusher::Closed => return,
                Flusher::Unborn | Flusher::Asleep => {
                    self.bell.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
                Flusher::Watching => {
                    let waited = self.bell.wait_timeout(state, LONGEST);
                    let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                    if state.flusher == Flusher::Watching {
                        if state.frames == 0 {
                            state.flusher = Flusher::Asleep;
                        } else if state.is_late(monotonic()) {
                            let _ = self.write(&mut state);
                        }
                    }
                    state
                }
            };
        }
    }

    /// Writes the buffer out. A reader that is gone makes the port deaf, not faulty: `next` sees the end of file.
    fn write(&self, state: &mut State) -> Result<()> {
        state.frames = 0;
        while !state.buffer.is_empty() {
            match send(&self.socket, &state.buffer, SendFlags::NOSIGNAL) {
                Ok(count) => state.buffer.advance(count),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    state.deaf = true;
                    state.buffer.clear();
                    let gone =
                        matches!(errno.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
                    return if gone { Ok(()) } else { Err(broken("send", errno)) };
                }
            }
        }
        state.buffer.clear();
        Ok(())
    }
}

impl State {
    fn is_late(&self, now: u64) -> bool {
        u128::from(now.saturating_sub(self.oldest)) >= LONGEST.as_nanos()
    }
}
