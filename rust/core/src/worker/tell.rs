//! The way to Python: a bounded box of Events, and a bell that ends its wait.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Outbox};

/// Events for Python. The core's thread puts, Python's takes.
#[derive(Clone, Debug)]
pub(super) struct Tell(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    outbox: Mutex<Outbox>,
    bell: UnixStream,
    /// Python's end; signals ring here, too (`signal.set_wakeup_fd`).
    ear: UnixStream,
}

impl Tell {
    /// At most so many Events are taken at once.
    const AT_ONCE: usize = 256;

    /// An empty box.
    ///
    /// # Errors
    /// `Unexpected` when no socket pair can be made.
    pub(super) fn new() -> Result<Self> {
        let make = || {
            let (bell, ear) = UnixStream::pair()?;
            bell.set_nonblocking(true)?;
            ear.set_nonblocking(true)?;
            Ok::<_, std::io::Error>((bell, ear))
        };
        let (bell, ear) = make()
            .map_err(|error| Error::new(ErrorKind::Unexpected, "cannot make a socket pair").because(error))?;
        Ok(Self(Arc::new(Shared { outbox: Mutex::default(), bell, ear })))
    }

    /// Puts an Event; rings when the box was empty.
    pub(super) fn put(&self, event: Event) {
        if self.outbox().put(event) {
            // A full pipe means that the bell rings already.
            let _ = (&self.0.bell).write(&[0]);
        }
    }

    /// Takes Events, waiting up to `timeout` for the first; none when a signal came.
    pub(super) fn take(&self, timeout: Duration) -> Vec<Event> {
        if self.outbox().is_empty() {
            let mut ears = [PollFd::new(&self.0.ear, PollFlags::IN)];
            let limit = Timespec {
                tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(timeout.subsec_nanos()),
            };
            // An error is an interruption by a signal, which ends the wait as it should.
            let _ = poll(&mut ears, Some(&limit));
        }
        let mut rings = [0; 64];
        while matches!((&self.0.ear).read(&mut rings), Ok(count) if count == rings.len()) {}
        let mut outbox = self.outbox();
        let events = outbox.take(Self::AT_ONCE);
        if !outbox.is_empty() {
            let _ = (&self.0.bell).write(&[0]);
        }
        events
    }

    /// What ends a wait when something is written to it.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }

    /// What can be read when there is something to take.
    pub(super) fn ear(&self) -> BorrowedFd<'_> {
        self.0.ear.as_fd()
    }

    /// Whether Python has to catch up.
    pub(super) fn is_full(&self) -> bool {
        self.outbox().is_full()
    }

    /// Events dropped because Python did not come.
    pub(super) fn dropped(&self) -> u64 {
        self.outbox().dropped()
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // The box is whole between calls, whoever panicked while holding it.
        self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

    #[test]
    fn events_are_taken_in_order_and_a_wait_ends_when_one_comes() {
        let tell = Tell::new().unwrap();
        let other = tell.clone();
        let taker = std::thread::spawn(move || other.take(Duration::from_secs(30)));
        tell.put(Event::new(EventKind::Ready));
        assert_eq!(taker.join().unwrap(), [Event::new(EventKind::Ready)]);
        assert!(tell.take(Duration::ZERO).is_empty());
    }

    #[test]
    fn what_is_not_taken_at_once_keeps_the_bell_ringing() {
        let tell = Tell::new().unwrap();
        for _ in 0..300 {
            tell.put(Event::new(EventKind::Ready));
        }
        assert_eq!(tell.take(Duration::ZERO).len(), 256);
        assert_eq!(tell.take(Duration::from_secs(30)).len(), 44);
    }
}
