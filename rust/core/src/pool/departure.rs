//! How an executor left.

use crate::ident::SlotId;

/// An executor that is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct Departure {
    /// Its slot.
    pub slot: SlotId,
    /// Its process, when it was one.
    pub pid: Option<u32>,
    /// As `waitpid` tells it; `None` when nobody could say.
    pub status: Option<i32>,
    /// Number of the last job it had started.
    pub started: u64,
    /// It was asked to leave, or said so.
    pub expected: bool,
    /// It was sent away for want of work: nobody is to follow it.
    pub dismissed: bool,
    /// Why it was ended, when that is not plain from how it ended.
    pub note: Option<&'static str>,
}

impl Departure {
    /// Of a slot for which no child could be had.
    pub fn of_nobody(slot: SlotId) -> Self {
        Self { slot, pid: None, status: None, started: 0, expected: false, dismissed: false, note: None }
    }

    /// Whether it may have died of its own start, so that a successor would, too. Whatever ended it, a child that had
    /// begun a job had got through its start.
    pub fn is_of_its_start(&self) -> bool {
        !self.expected && self.started == 0
    }

    /// How it ended, for people.
    pub fn reason(&self) -> String {
        let who = self.pid.map_or_else(|| "the executor".to_owned(), |pid| format!("child {pid}"));
        let end = match self.status {
            None => format!("{who} is gone"),
            // The wait status: the signal in the low seven bits, else the exit code in the next eight.
            Some(status) => match status & 0x7f {
                0 => format!("{who} exited with code {}", (status >> 8) & 0xff),
                signal => format!("{who} was ended by signal {}", signal_name(signal)),
            },
        };
        self.note.map_or_else(|| end.clone(), |note| format!("{end}: {note}"))
    }
}

fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return number.to_string(),
    };
    format!("{number} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unexpected_death_before_the_first_job_is_of_the_start() {
        let departure =
            |started, expected| Departure { started, expected, ..Departure::of_nobody(SlotId(0)) };
        assert!(departure(0, false).is_of_its_start());
        assert!(!departure(1, false).is_of_its_start());
        assert!(!departure(0, true).is_of_its_start());
    }

    #[test]
    fn the_reason_names_the_process_how_it_ended_and_why() {
        let departure = Departure { pid: Some(7), ..Departure::of_nobody(SlotId(0)) };
        assert_eq!(departure.reason(), "child 7 is gone");
        assert_eq!(Departure { status: Some(3 << 8), ..departure }.reason(), "child 7 exited with code 3");
        let killed = Departure {
            pid: Some(7),
            status: Some(9),
            note: Some("it hung"),
            ..Departure::of_nobody(SlotId(0))
        };
        assert_eq!(killed.reason(), "child 7 was ended by signal 9 (SIGKILL): it hung");
    }
}
