//! A bell within one process: wakes a thread that waits for a descriptor.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Rings until it is silenced, however often it was rung.
#[derive(Debug)]
pub(crate) struct Alarm {
    rope: UnixStream,
    ear: UnixStream,
}

impl Alarm {
    /// A silent alarm.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        let (rope, ear) = UnixStream::pair()?;
        rope.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Self { rope, ear })
    }

    /// Makes it ring. One that cannot take more rings already.
    pub(crate) fn ring(&self) {
        let _ = (&self.rope).write(b"!");
    }

    /// Ends the ringing.
    pub(crate) fn silence(&self) {
        let mut rings = [0; 64];
        while matches!((&self.ear).read(&mut rings), Ok(count) if count == rings.len()) {}
    }
}

impl AsFd for Alarm {
    /// Readable while it rings.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec};

    fn rings(alarm: &Alarm) -> bool {
        let mut place = [PollFd::new(alarm, PollFlags::IN)];
        rustix::event::poll(&mut place, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn it_rings_until_it_is_silenced_and_can_be_rung_without_end() {
        let alarm = Alarm::new().unwrap();
        assert!(!rings(&alarm));
        for _ in 0..100_000 {
            alarm.ring();
        }
        assert!(rings(&alarm));
        alarm.silence();
        assert!(!rings(&alarm));
        alarm.ring();
        assert!(rings(&alarm));
    }
}
