//! How the connection stands: what ends a session, what passes, and who is told of it.

use std::time::Duration;

use tokio::time::{Instant as TokioInstant, timeout_at};

use super::link::{LinkInput, LinkState};
use super::{Consumer, News, jitter};
use crate::error::Error;

impl Consumer {
    /// The session is over: what it gave belongs to others, and what was to be settled is void. What only stores or
    /// publishes is kept for the next session: its delivery was acknowledged, so nobody else will do it.
    pub(super) fn lost(&mut self, error: &Error) -> bool {
        let mut void = Vec::new();
        self.batch.commits().retain(|commit| {
            void.extend(commit.settle.as_ref().map(|(receipt, _)| receipt.tag()));
            commit.settle.is_none()
        });
        let clean = void.is_empty();
        if !clean {
            self.say(News::Refused(void));
        }
        self.ending.lost();
        self.say(News::SessionLost);
        self.step(LinkInput::SessionLost, error.to_string());
        self.credit = 0;
        self.asks.clear();
        clean
    }

    /// Something that may pass: everything that is to be settled is kept and tried again.
    pub(super) fn warn(&mut self, error: &Error) {
        if self.link.state() == LinkState::BackingOff {
            self.step(LinkInput::Tick, String::new());
        }
        self.step(LinkInput::TemporaryFault, error.to_string());
    }

    /// The broker answers.
    pub(super) fn works(&mut self) {
        if self.link.state() == LinkState::BackingOff {
            self.step(LinkInput::Tick, String::new());
        }
        if self.link.state() != LinkState::Draining {
            self.step(LinkInput::Ready, String::new());
        }
    }

    pub(super) async fn pause(&mut self) {
        if self.link.state() != LinkState::BackingOff {
            return;
        }
        let until = TokioInstant::now() + self.link.pause(jitter());
        while self.link.state() == LinkState::BackingOff {
            match timeout_at(until, self.orders.recv()).await {
                Ok(order) => self.obey(order),
                Err(_) => self.step(LinkInput::Tick, String::new()),
            }
        }
        if self.link.state() == LinkState::Draining {
            self.step(LinkInput::Settled, String::new());
        }
    }

    /// Steps the link and says so when it changed in a way a user cares for.
    pub(super) fn step(&mut self, input: LinkInput, reason: String) {
        let before = self.link.state();
        match self.link.step(input) {
            Ok(true) => {
                let state = self.link.state();
                let retry_in = self.link.pause(0.5);
                if matches!((before, state), (_, LinkState::Open | LinkState::BackingOff)) {
                    self.say(News::Link { state, reason, retry_in });
                }
            }
            Ok(false) => {}
            Err(error) => {
                self.say(News::Link { state: before, reason: error.to_string(), retry_in: Duration::ZERO });
            }
        }
    }
}
