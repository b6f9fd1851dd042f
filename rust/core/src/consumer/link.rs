//! The state machine of one broker connection. Pure; [`super`] drives it.
//!
//! ```text
//! Closed --open--> Opening --ready--> Open
//! Opening, Open --temporary fault--> BackingOff --tick--> Opening
//! Opening, Open --permanent fault--> Failed              (only on the way in: nothing was ever open)
//! Open, BackingOff --lost--> BackingOff                              (the session is over, another one may begin)
//! any but Failed --drain--> Draining --settled--> Closed
//! ```

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// What a broker connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Not wanted.
    Closed,
    /// A session is being begun.
    Opening,
    /// Messages can be taken and settled.
    Open,
    /// A fault; it is tried again after a pause.
    BackingOff,
    /// Settling the rest, taking no more.
    Draining,
    /// It can never work.
    Failed,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkInput {
    /// It is wanted.
    Open,
    /// The session began, or works again.
    Ready,
    /// Something that may pass.
    TemporaryFault,
    /// Something that will not pass, before any session began.
    PermanentFault,
    /// The session is over.
    SessionLost,
    /// The pause is over.
    Tick,
    /// It is no longer wanted.
    Drain,
    /// Nothing is left to settle.
    Settled,
}

/// One broker connection: its state, and how long to wait before the next try.
#[derive(Debug)]
pub struct Link {
    state: LinkState,
    faults: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { state: LinkState::Closed, faults: 0 }
    }
}

impl Link {
    const FIRST_PAUSE: Duration = Duration::from_millis(50);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);

    /// What it is doing.
    pub fn state(&self) -> LinkState {
        self.state
    }

    /// Takes one input; returns whether the state changed.
    pub fn step(&mut self, input: LinkInput) -> Result<bool> {
        let before = self.state;
        self.state = next(before, input).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "a broker link got an input that does not fit its state")
                .with("state", format_args!("{before:?}"))
                .with("input", format_args!("{input:?}"))
        })?;
        match input {
            LinkInput::TemporaryFault | LinkInput::SessionLost => self.faults = self.faults.saturating_add(1),
            LinkInput::Ready => self.faults = 0,
            _ => {}
        }
        Ok(before != self.state)
    }

    /// The pause before the next try: doubled with each fault in a row, up to a second. `jitter` in 0..1 spreads
    /// workers that lost the same broker.
    pub fn pause(&self, jitter: f64) -> Duration {
        let doubled = Self::FIRST_PAUSE.saturating_mul(1 << self.faults.saturating_sub(1).min(10));
        doubled.min(Self::LONGEST_PAUSE).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// The table.
pub fn next(state: LinkState, input: LinkInput) -> Option<LinkState> {
    use LinkInput as I;
    use LinkState as S;
    Some(match (state, input) {
        (S::Closed, I::Open) | (S::BackingOff, I::Tick) => S::Opening,
        (S::Opening | S::Open, I::Ready) => S::Open,
        (S::Opening | S::Open, I::TemporaryFault | I::SessionLost) | (S::BackingOff, I::SessionLost) => {
            S::BackingOff
        }
        (S::Opening, I::PermanentFault) => S::Failed,
        (S::Draining, I::TemporaryFault | I::Ready | I::Drain) => S::Draining,
        (S::Opening | S::Open | S::BackingOff, I::Drain) => S::Draining,
        (S::Closed, I::Drain | I::Settled) | (S::Draining, I::Settled | I::SessionLost) => S::Closed,
        (S::Failed, I::Drain | I::Settled) => S::Failed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_had_a_fault_is_open_again_after_the_pause() {
        let mut link = Link::default();
        for (input, state) in [
            (LinkInput::Open, LinkState::Opening),
            (LinkInput::TemporaryFault, LinkState::BackingOff),
            (LinkInput::Tick, LinkState::Opening),
            (LinkInput::Ready, LinkState::Open),
            (LinkInput::SessionLost, LinkState::BackingOff),
            (LinkInput::Tick, LinkState::Opening),
            (LinkInput::Ready, LinkState::Open),
            (LinkInput::Drain, LinkState::Draining),
            (LinkInput::Settled, LinkState::Closed),
        ] {
            link.step(input).unwrap();
            assert_eq!(link.state(), state);
        }
    }

    #[test]
    fn pauses_grow_to_two_seconds_and_start_over_after_success() {
        let mut link = Link::default();
        link.step(LinkInput::Open).unwrap();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            link.step(LinkInput::TemporaryFault).unwrap();
            pauses.push(link.pause(1.0).as_millis());
            link.step(LinkInput::Tick).unwrap();
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        link.step(LinkInput::Ready).unwrap();
        link.step(LinkInput::TemporaryFault).unwrap();
        assert_eq!(link.pause(0.0), Duration::from_millis(25));
    }

    #[test]
    fn an_input_that_does_not_fit_is_an_error_naming_both() {
        let error = Link::default().step(LinkInput::Ready).unwrap_err().to_string();
        assert!(error.contains("Closed") && error.contains("Ready"), "{error}");
    }
}
