//! Which process this is, and whether another one still lives.

use std::fs;

use rustix::process::{Pid, test_kill_process};

/// A process, named so that it cannot be confused with a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// When it started, in the kernel's ticks; 0 where the system does not tell.
    pub(super) started: i64,
    /// The boot and the pid namespace in which `pid` means something.
    pub(super) machine: String,
}

impl Process {
    /// This one.
    pub(super) fn this() -> Self {
        let pid = std::process::id();
        Self { pid, started: status_of(pid).map_or(0, |(_, started)| started), machine: machine() }
    }

    /// Whether it is certainly gone. A process of another container or host is never known to be.
    pub(super) fn is_gone(&self) -> bool {
        if self.machine.is_empty() || self.machine != machine() {
            return false;
        }
        match status_of(self.pid) {
            // A zombie runs nothing: its parent just has not looked.
            Some((state, started)) => {
                matches!(state, 'Z' | 'X') || (self.started != 0 && started != self.started)
            }
            // Hidden (another user's, `hidepid`) or gone: a signal tells which.
            None => i32::try_from(self.pid).ok().and_then(Pid::from_raw).is_some_and(|pid| {
                test_kill_process(pid).is_err_and(|error| error == rustix::io::Errno::SRCH)
            }),
        }
    }
}

/// The name of this host, for people.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(target_os = "linux")]
fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace =
        fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    if boot.is_empty() || namespace.is_empty() {
        String::new()
    } else {
        format!("{} {namespace}", boot.trim())
    }
}

#[cfg(not(target_os = "linux"))]
fn machine() -> String {
    host()
}

/// State letter and start time from `/proc/<pid>/stat` (proc_pid_stat(5), fields 3 and 22).
fn status_of(pid: u32) -> Option<(char, i64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in brackets and may hold anything, brackets too.
    let (_, fields) = status.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_of_its_number_that_started_at_another_time_does_not() {
        let this = Process::this();
        assert!(this.started > 0);
        assert!(!this.is_gone());
        assert!(Process { started: this.started + 1, ..this.clone() }.is_gone());
        assert!(!Process { started: this.started + 1, machine: "elsewhere".into(), ..this }.is_gone());
    }

    #[test]
    fn a_process_that_was_killed_is_gone_before_its_parent_has_looked() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id();
        let (_, started) = status_of(pid).unwrap();
        let process = Process { pid, started, machine: machine() };
        assert!(!process.is_gone());
        child.kill().unwrap();
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !process.is_gone() {
            assert!(std::time::Instant::now() < limit);
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(process.is_gone());
    }
}
