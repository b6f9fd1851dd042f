//! Asking the server for turns and tokens, over the session that takes and settles.

use super::{Consumer, News};
use crate::broker::Session;
use crate::error::Result;

impl Consumer {
    /// Whether something is asked for, and nothing that was to be done before it is left.
    pub(super) fn may_ask(&self) -> bool {
        !self.asks.is_empty() && self.batch.is_empty() && !self.draining
    }

    /// Asks for everything at once. What could not be asked is not kept: whoever wanted it asks again.
    ///
    /// # Errors
    /// Those that end the session.
    pub(super) async fn admit(&mut self, session: &mut dyn Session) -> Result<()> {
        let asks = std::mem::take(&mut self.asks);
        let answers = match session.admit(&asks).await {
            Ok(answers) => {
                self.works();
                answers
            }
            Err(error) if super::ends_session(&error) => return Err(error),
            Err(error) => {
                self.warn(&error);
                Vec::new()
            }
        };
        self.say(News::Granted(answers));
        Ok(())
    }

    /// Passes on that the server called.
    pub(super) fn pass_call_on(&mut self, session: &mut dyn Session) {
        if session.freed() {
            self.say(News::Freed);
        }
    }
}
