//! The parent's end of a slot: one task per socket, batches in, batches out.
//!
//! What is sent is gathered while the task waits for its turn and goes out in one write; what one round of reads
//! brought is told as one message, so that a batch costs the engine one wake-up.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::frame::{self, Frame, Kind};
use super::port::lock;
use super::seat::SeatId;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::Tag;
use crate::job::Job;
use crate::job::ending::Outcome;
use crate::store::Record;

/// Room made before each read.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one round end when so much has come, so that a talkative child cannot starve the others.
const ROUND_BYTES: usize = 256 * 1024;

/// What an executor told.
#[derive(Debug)]
pub enum LinkEvent {
    /// It is ready for jobs.
    Hello,
    /// The job starts now.
    Started(Tag),
    /// How a run ended.
    Finished(Tag, Outcome),
    /// States of a run that goes on.
    Store(Vec<Record>),
    /// It will take no more jobs before long.
    Soon,
    /// It takes no more jobs: what it has not started (see the slot page) may go to others.
    Bye,
    /// It forgot a job that had been taken back from it.
    Dropped(Tag),
    /// It holds the permit of a cancelled run no more.
    LetGo(Tag),
    /// It is gone, and nothing follows. An error when it was not the end of file: the child must be killed then.
    Gone(Option<Error>),
}

/// Where links tell what came: the seat, and everything of one round of reads in order.
pub type LinkEvents = mpsc::UnboundedSender<(SeatId, Vec<LinkEvent>)>;

/// Sends to one executor. Dropping it closes the socket at once: what was not written is lost, and no event follows,
/// not even [`LinkEvent::Gone`] (those already in the channel stay there).
#[derive(Debug)]
pub struct LinkHandle {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Shared {
    /// Frames not yet written; filled by the handle, emptied by the task.
    outgoing: Mutex<BytesMut>,
    /// Rung when `outgoing` was empty and is not any more.
    bell: Notify,
    /// Rung when the executor is known to be dead.
    last_call: Notify,
}

/// Starts the task of one link. Must be called within a tokio runtime.
///
/// # Errors
/// `Unreachable` when the socket cannot be watched.
pub fn spawn(seat: SeatId, socket: StdUnixStream, events: LinkEvents) -> Result<LinkHandle> {
    let watch = |socket: StdUnixStream| {
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket)
    };
    let socket = watch(socket).map_err(|error| {
        Error::new(ErrorKind::Unreachable, "cannot watch a child's socket").because(error)
    })?;
    let shared = Arc::new(Shared::default());
    let link = Link { seat, socket, shared: Arc::clone(&shared), events, incoming: BytesMut::new() };
    let task = tokio::spawn(link.run()).abort_handle();
    Ok(LinkHandle { shared, task })
}

impl LinkHandle {
    /// Sends whole frames, already encoded.
    pub fn send(&self, frames: &[u8]) {
        self.put(|outgoing| outgoing.extend_from_slice(frames));
    }

    /// Sends a job as the `seq`-th of its slot, encoded straight into the link's buffer.
    ///
    /// # Errors
    /// `Encode` when it is larger than a frame may be; nothing was sent.
    pub fn send_job(&self, seq: u64, job: &Job) -> Result<()> {
        let mut result = Ok(());
        self.put(|outgoing| result = frame::encode_job(outgoing, seq, job));
        result
    }

    /// Asks the executor to leave once it has run what it was sent.
    pub fn retire(&self) {
        self.put(|outgoing| frame::encode_bare(outgoing, Kind::Retire, Tag(0)));
    }

    /// Asks the executor to raise the soft limit in one of its runs.
    pub fn interrupt(&self, tag: Tag) {
        self.put(|outgoing| frame::encode_bare(outgoing, Kind::Interrupt, tag));
    }

    /// Asks the executor to end one of its runs.
    pub fn cancel(&self, tag: Tag) {
        self.put(|outgoing| frame::encode_bare(outgoing, Kind::Cancel, tag));
    }

    /// The executor is dead: reads what it said last and tells of its end, without waiting for the end of the file.
    pub fn finish(&self) {
        self.shared.last_call.notify_one();
    }

    fn put(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut outgoing = lock(&self.shared.outgoing);
        let was_empty = outgoing.is_empty();
        write(&mut outgoing);
        if was_empty && !outgoing.is_empty() {
            self.shared.bell.notify_one();
        }
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Link {
    seat: SeatId,
    socket: UnixStream,
    shared: Arc<Shared>,
    events: LinkEvents,
    incoming: BytesMut,
}

impl Link {
    async fn run(mut self) {
        let mut writing = BytesMut::new();
        let error = loop {
            let step = tokio::select! {
                () = self.shared.last_call.notified() => self.last_words(),
                ready = self.socket.readable() => ready.and_then(|()| self.read()),
                ready = self.socket.writable(), if !writing.is_empty() => ready.and_then(|()| self.write(&mut writing)),
                () = self.shared.bell.notified(), if writing.is_empty() => {
                    std::mem::swap(&mut writing, &mut lock(&self.shared.outgoing));
                    self.write(&mut writing)
                }
            };
            match step {
                Ok(Step::On) => {}
                Ok(Step::EndOfFile) => break None,
                Err(error) => break ended(error),
            }
            if writing.is_empty() && writing.capacity() > ROUND_BYTES {
                writing = BytesMut::new();
            }
        };
        self.tell(vec![LinkEvent::Gone(error)]);
    }

    /// Reads until nothing is left or enough was read, and tells everything at once.
    fn read(&mut self) -> io::Result<Step> {
        let mut events = Vec::new();
        let mut round = 0;
        let step = loop {
            self.incoming.reserve(frame::missing(&self.incoming).clamp(READ_BYTES, ROUND_BYTES));
            match self.socket.try_read_buf(&mut self.incoming) {
                Ok(0) => break Ok(Step::EndOfFile),
                Ok(count) => {
                    round += count;
                    if let Err(error) = parse(&mut self.incoming, &mut events) {
                        break Err(invalid(error));
                    }
                    if round >= ROUND_BYTES {
                        break Ok(Step::On);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(Step::On),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if !events.is_empty() {
            self.tell(events);
        }
        step
    }

    /// Takes what lies in the socket. Nobody writes to it any more but, perhaps, a process that the executor has forked,
    /// so the end of the file may not come.
    fn last_words(&mut self) -> io::Result<Step> {
        let mut events = Vec::new();
        let mut chunk = vec![0; READ_BYTES];
        // Asks the system itself: the runtime may not know yet that there is something to read.
        while let Some(count) = receive(&self.socket, &mut chunk)? {
            self.incoming.extend_from_slice(&chunk[..count]);
            parse(&mut self.incoming, &mut events).map_err(invalid)?;
        }
        if !events.is_empty() {
            self.tell(events);
        }
        Ok(Step::EndOfFile)
    }

    fn write(&self, writing: &mut BytesMut) -> io::Result<Step> {
        while !writing.is_empty() {
            match self.socket.try_write(writing) {
                Ok(count) => writing.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What the child said before it died is still to be read; reading meets the end of file.
                Err(error) if is_gone(&error) => writing.clear(),
                Err(error) => return Err(error),
            }
        }
        Ok(Step::On)
    }

    fn tell(&self, events: Vec<LinkEvent>) {
        // An engine that no longer listens has no use for it.
        let _ = self.events.send((self.seat, events));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Else the slot would stay in use for ever, and what it holds with it.
        if std::thread::panicking() {
            let error = Error::new(ErrorKind::Unexpected, "the link to an executor panicked: a bug in fastq");
            self.tell(vec![LinkEvent::Gone(Some(error))]);
        }
    }
}

enum Step {
    On,
    EndOfFile,
}

/// Reads without waiting; `None` when nothing is there, now or ever again.
fn receive(socket: &UnixStream, chunk: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match recv(socket, &mut *chunk, RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(Errno::AGAIN | Errno::CONNRESET) => return Ok(None),
            Ok((count, _)) => return Ok(Some(count)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn ended(error: io::Error) -> Option<Error> {
    if is_gone(&error) {
        return None;
    }
    Some(Error::new(ErrorKind::Decode, "a child's pipe is of no use any more").because(error))
}

/// Takes every whole frame from the buffer.
fn parse(incoming: &mut BytesMut, events: &mut Vec<LinkEvent>) -> Result<()> {
    while let Some(frame) = frame::take(incoming)? {
        events.push(event(&frame)?);
    }
    Ok(())
}

fn event(frame: &Frame) -> Result<LinkEvent> {
    Ok(match frame.kind {
        Kind::Hello => LinkEvent::Hello,
        Kind::Started => LinkEvent::Started(frame.tag),
        Kind::Finished => LinkEvent::Finished(frame.tag, frame::parse_finished(&frame.payload)?),
        Kind::Store => LinkEvent::Store(frame::parse_store(&frame.payload)?),
        Kind::Soon => LinkEvent::Soon,
        Kind::Bye => LinkEvent::Bye,
        Kind::Dropped => LinkEvent::Dropped(frame.tag),
        Kind::LetGo => LinkEvent::LetGo(frame.tag),
        Kind::Job | Kind::Retire | Kind::Interrupt | Kind::Cancel => {
            return Err(Error::new(ErrorKind::Decode, "a child sent a frame only the parent sends"));
        }
    })
}

#[cfg(test)]
mod tests;
