//! Which queues a session takes from: more, or fewer, while it goes on.

use super::session::AmqpSession;
use super::source::State;
use crate::broker::Queue;
use crate::error::Result;

impl AmqpSession {
    /// Takes from more queues. One that it takes from already gets its new bindings.
    pub(super) async fn take_from(&mut self, queues: &[Queue]) -> Result<()> {
        let known = self.sources.len();
        let before: Vec<usize> = self.sources.iter().map(|source| source.declared.len()).collect();
        queues.iter().for_each(|queue| self.add(queue.clone()));
        for place in 0..self.sources.len() {
            let is_new = place >= known || self.sources[place].state == State::Closed;
            let opened = if is_new {
                self.open(place).await
            } else if self.sources[place].declared.len() > before[place] {
                self.bind(place, before[place]).await
            } else {
                Ok(())
            };
            if let Err(error) = opened {
                self.sources.iter_mut().skip(known).for_each(|source| source.is_left = true);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes nothing more from a queue; what it took can be settled as ever.
    pub(super) async fn leave(&mut self, queue: &str) -> Result<()> {
        let found = self.sources.iter().position(|source| *source.name == *queue);
        let (Some(place), Some(link)) = (found, &mut self.link) else {
            self.sources
                .iter_mut()
                .filter(|source| *source.name == *queue)
                .for_each(|source| source.is_left = true);
            return Ok(());
        };
        let source = &mut self.sources[place];
        source.is_left = true;
        if let Err(error) = source.cancel(link).await {
            return Err(self.lose(error));
        }
        self.take_in()?;
        for delivery in std::mem::take(&mut self.sources[place].shelf) {
            self.put_back(delivery.tag());
        }
        self.flush().await
    }
}
