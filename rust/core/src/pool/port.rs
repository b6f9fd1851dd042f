//! The executor's end of a slot: takes jobs, hands over how they ended. Blocking.
//!
//! What is handed over is gathered and written at once: before waiting, when more than 16 frames or 64 KiB have
//! come together, or a millisecond after the first of them. That last rule must hold while user code runs, so a
//! thread of the port's own keeps it; it is born when a job is first handed out over gathered outcomes, and knows
//! nothing but the socket.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::time::{ClockId, clock_gettime};

use super::frame::{self, JobFrame, Kind, OutcomeRef, RecordRef};
pub use super::outgoing::Gathered;
use super::outgoing::Outgoing;
use super::page::{CLAIM, ENDING, Page, SINCE, TAG, WORDS_PER_SLOT};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{SlotId, Tag};

/// Most bytes taken by one read.
const READ_BYTES: usize = 64 * 1024;

/// What [`Port::next`] brought.
#[derive(Debug)]
pub enum Next {
    /// A job to run now; the slot page already says that it started.
    Job(Run),
    /// The time is up.
    Nothing,
    /// A signal came; call again after its handlers have run.
    Interrupted,
    /// The parent is gone, it retired this slot, or [`Port::retire`] was called: leave.
    Ended,
}

/// What the parent asks of a run that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Raise the soft limit in it.
    Interrupt(Tag),
    /// End it: it has been settled.
    Cancel(Tag),
}

/// A job that has started.
#[derive(Debug)]
pub struct Run {
    /// What to run.
    pub job: JobFrame,
    /// Nanoseconds of CLOCK_MONOTONIC when it was handed out.
    started: u64,
}

impl Run {
    /// A run that begins now.
    pub fn beginning(job: JobFrame) -> Self {
        Self { job, started: monotonic() }
    }
}

/// The executor's end of a slot. Thread-safe: one thread may wait in [`Port::next`] while others hand over.
pub struct Port {
    socket: Arc<UnixStream>,
    page: Arc<dyn Page>,
    /// The slot's first word in the page.
    base: usize,
    /// Touched only by [`Port::next`]; held while it waits.
    incoming: Mutex<Incoming>,
    outgoing: Arc<Outgoing>,
    /// Written by [`Port::retire`], read by [`Port::next`].
    retired: AtomicBool,
    /// The process it belongs to; user code may fork, and the copy must not speak for the original.
    process: u32,
}

struct Incoming {
    greeted: bool,
    ended: bool,
    /// The parent is gone, and not only has it retired this slot.
    hung_up: bool,
    jobs: VecDeque<JobFrame>,
    /// Not heeded yet.
    wishes: Vec<Wish>,
    buffer: BytesMut,
    scratch: Box<[u8]>,
}

impl Port {
    /// The port of `slot` over its end of the socket pair.
    pub fn new(socket: UnixStream, page: Arc<dyn Page>, slot: SlotId) -> Self {
        let socket = Arc::new(socket);
        Self {
            outgoing: Arc::new(Outgoing::new(Arc::clone(&socket))),
            socket,
            page,
            base: slot.0 as usize * WORDS_PER_SLOT,
            incoming: Mutex::new(Incoming {
                greeted: false,
                ended: false,
                hung_up: false,
                jobs: VecDeque::new(),
                wishes: Vec::new(),
                buffer: BytesMut::new(),
                scratch: vec![0; READ_BYTES].into_boxed_slice(),
            }),
            retired: AtomicBool::new(false),
            process: std::process::id(),
        }
    }

    /// Which slot it is.
    pub fn slot(&self) -> SlotId {
        SlotId((self.base / WORDS_PER_SLOT) as u32)
    }

    /// The next job. The first call tells the parent that this executor is ready.
    ///
    /// # Errors
    /// `Decode` when the parent sends nonsense, `Unreachable` when the socket fails.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Next> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut incoming = lock(&self.incoming);
        if !incoming.greeted {
            incoming.greeted = true;
            self.outgoing.put_bare(Kind::Hello, Tag(0));
        }
        loop {
            if self.retired.load(Ordering::Acquire) {
                self.outgoing.flush()?;
                return Ok(Next::Ended);
            }
            if let Some(run) = self.take(&mut incoming)? {
                return Ok(Next::Job(run));
            }
            if incoming.ended {
                self.outgoing.flush()?;
                return Ok(Next::Ended);
            }
            if self.receive(&mut incoming)? {
                continue;
            }
            self.outgoing.flush()?;
            match self.wait(deadline)? {
                Waited::Readable => {}
                Waited::TimeUp => return Ok(Next::Nothing),
                Waited::Interrupted => return Ok(Next::Interrupted),
            }
        }
    }

    /// Hands over how a run ended. Gathered, and sent before the next wait at the latest; when it says
    /// [`Gathered::Enough`] the caller should [`Port::flush`] now.
    ///
    /// # Errors
    /// `Encode` when it is larger than a frame may be: the run can still end in another way.
    pub fn finish(&self, run: &Run, outcome: &OutcomeRef<'_>) -> Result<Gathered> {
        let runtime = Duration::from_nanos(monotonic().saturating_sub(run.started));
        let gathered = self.outgoing.put(|out| frame::encode_finished(out, run.job.tag, outcome, runtime))?;
        // The run is over, whether its outcome reaches the parent or not: a reaper must not count it as a death.
        self.page.store(self.base + TAG, 0);
        Ok(gathered)
    }

    /// Stores states of a run that goes on. Always [`Gathered::Enough`]: somebody may be looking at the progress.
    ///
    /// # Errors
    /// `Encode` when they are larger than a frame may be.
    pub fn store(&self, records: &[RecordRef<'_>]) -> Result<Gathered> {
        self.outgoing.put(|out| frame::encode_store(out, records)).map(|_| Gathered::Enough)
    }

    /// What the parent asks of runs that go on, for executors that make several at the same time: reads what is there,
    /// without waiting. Jobs that come with it wait for [`Port::next`].
    /// `None`: the parent is gone.
    ///
    /// # Errors
    /// `Decode` when the parent sends nonsense, `Unreachable` when the socket fails.
    pub fn heed(&self) -> Result<Option<Vec<Wish>>> {
        let mut incoming = lock(&self.incoming);
        while !incoming.hung_up && self.receive(&mut incoming)? {}
        Ok((!incoming.hung_up).then(|| std::mem::take(&mut incoming.wishes)))
    }

    /// Tells the parent that a cancelled run holds its permit no more.
    ///
    /// # Errors
    /// `Unreachable` when the socket fails.
    pub fn let_go(&self, run: &Run) -> Result<()> {
        self.outgoing.put_bare(Kind::LetGo, run.job.tag);
        self.outgoing.flush()
    }

    /// Whether the parent ends the run that was handed out last, so that a signal that came is meant for it.
    pub fn is_ending(&self) -> bool {
        self.page.load(self.base + CLAIM) & ENDING != 0
    }

    /// Tells the parent that this executor takes no more jobs; [`Port::next`] says `Ended` from now on.
    /// What was sent and not started the parent gives to others.
    ///
    /// # Errors
    /// `Unreachable` when the socket fails.
    pub fn retire(&self) -> Result<()> {
        if !self.retired.swap(true, Ordering::AcqRel) {
            self.outgoing.put_bare(Kind::Bye, Tag(0));
            self.outgoing.flush()?;
        }
        Ok(())
    }

    /// Tells the parent that this executor will retire before long, so that its successor can be made meanwhile.
    ///
    /// # Errors
    /// `Unreachable` when the socket fails.
    pub fn retire_soon(&self) -> Result<()> {
        self.outgoing.put_bare(Kind::Soon, Tag(0));
        self.outgoing.flush()
    }

    /// Sends what is gathered.
    ///
    /// # Errors
    /// `Unreachable` when the socket fails. A parent that is gone is no error: [`Port::next`] tells.
    pub fn flush(&self) -> Result<()> {
        self.outgoing.flush()
    }

    /// Tells the parent that this executor has left, as closing the socket does: for slots within the parent's own
    /// process, where a port may be kept long after its end. A child does not: what it still does after its last job
    /// belongs to its life, and the parent ends what goes on for long after its pipe.
    pub fn hang_up(&self) {
        let _ = self.socket.shutdown(Shutdown::Both); // the parent may have left before: that was the aim
    }

    /// Starts the next job that the parent has not taken back.
    fn take(&self, incoming: &mut Incoming) -> Result<Option<Run>> {
        while let Some(job) = incoming.jobs.pop_front() {
            let started = monotonic();
            if !self.claim(&job, started) {
                self.outgoing.put_bare(Kind::Dropped, job.tag);
                continue;
            }
            if job.must_report_start() {
                self.outgoing.put_bare(Kind::Started, job.tag);
                self.outgoing.flush()?;
            } else {
                self.outgoing.expect_absence(started)?;
            }
            return Ok(Some(Run { job, started }));
        }
        Ok(None)
    }

    /// Marks the job as started, unless the parent has closed the slot.
    ///
    /// The promise that no job runs twice at the same time stands on this exchange: only one of it and the parent's
    /// closing can succeed (see [`super::page`]).
    fn claim(&self, job: &JobFrame, now: u64) -> bool {
        let Some(before) = job.seq.checked_sub(1) else { return false };
        self.page.store(self.base + TAG, job.tag.0);
        self.page.store(self.base + SINCE, now);
        let claimed = self.page.compare_exchange(self.base + CLAIM, before, job.seq).is_ok();
        if !claimed {
            self.page.store(self.base + TAG, 0); // a reaper must not take it for running here
        }
        claimed
    }

    /// Reads what is there without waiting; returns whether anything changed.
    fn receive(&self, incoming: &mut Incoming) -> Result<bool> {
        match recv(&self.socket, &mut *incoming.scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(Errno::CONNRESET) => (incoming.ended, incoming.hung_up) = (true, true),
            Ok((count, _)) => {
                incoming.buffer.extend_from_slice(&incoming.scratch[..count]);
                incoming.parse()?;
            }
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(broken("receive", errno)),
        }
        Ok(true)
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<Waited> {
        let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return Ok(Waited::TimeUp),
            Some(left) => Timespec::try_from(left).ok(),
            None => None,
        };
        match poll(&mut [PollFd::new(&*self.socket, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => Ok(Waited::TimeUp),
            Ok(_) => Ok(Waited::Readable),
            Err(Errno::INTR) => Ok(Waited::Interrupted),
            Err(errno) => Err(broken("wait", errno)),
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        // The parent takes what it does not hear of for lost, so nothing gathered may stay here. It may be gone, too.
        let _ = self.outgoing.flush();
        self.outgoing.close();
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Incoming {
    /// Takes every whole frame from the buffer.
    fn parse(&mut self) -> Result<()> {
        while let Some(frame) = frame::take(&mut self.buffer)? {
            match frame.kind {
                Kind::Job => self.jobs.push_back(JobFrame::parse(frame.tag, frame.payload)?),
                Kind::Retire => self.ended = true,
                Kind::Interrupt => self.wishes.push(Wish::Interrupt(frame.tag)),
                Kind::Cancel => self.wishes.push(Wish::Cancel(frame.tag)),
                kind => {
                    let error = Error::new(ErrorKind::Decode, "the parent sent a frame only executors send");
                    return Err(error.with("kind", format!("{kind:?}")));
                }
            }
        }
        self.buffer.reserve(frame::missing(&self.buffer).max(READ_BYTES));
        Ok(())
    }
}

enum Waited {
    Readable,
    TimeUp,
    Interrupted,
}

/// Nanoseconds of CLOCK_MONOTONIC, the one clock that parent and children share.
pub(super) fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(super) fn broken(operation: &'static str, errno: Errno) -> Error {
    Error::new(ErrorKind::Unreachable, "the socket to the worker failed").during(operation).because(errno)
}

/// A panic while the lock was held leaves whole values behind: every change under it is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
