//! Which queues a session takes from: more, or fewer, while it goes on.

use super::session::AmqpSession;
use super::source::State;
use crate::broker::Queue;
use crate::error::Result;

impl AmqpSession {
    /// Takes from more queues. One that it takes from already gets its new bindings.
    pub(super) async fn take_from(&mut self, queues: &[Queue]) -> Result<()> {
        let before: Vec<usize> = self.sources.iter().map(|source| source.declared.len()).collect();
        for queue in queues {
            self.add(queue.clone());
        }
        for place in 0..self.sources.len() {
            let source = &self.sources[place];
            let opened = match before.get(place) {
                Some(bindings) if source.state != State::Closed => self.bind(place, *bindings).await,
                _ => self.open(place).await,
            };
            if let Err(error) = opened {
                for source in self.sources.iter_mut().skip(before.len()) {
                    source.is_left = true;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes nothing more from a queue; what it took can be settled as ever.
    pub(super) async fn leave(&mut self, queue: &str) -> Result<()> {
        let found = self.sources.iter().position(|source| *source.name == *queue);
        let Some(place) = found else { return Ok(()) };
        self.sources[place].is_left = true;
        let Some(link) = &mut self.link else { return Ok(()) };
        if let Err(error) = self.sources[place].cancel(link).await {
            return Err(self.lose(error));
        }
        self.take_in()?;
        for delivery in std::mem::take(&mut self.sources[place].shelf) {
            self.put_back(delivery.tag());
        }
        self.flush().await
    }
}
