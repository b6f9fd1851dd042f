//! Listening beside a session: what is called off must be heard also while nothing may be taken.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::words::News;
use crate::broker::{Ear, Word};

/// A task that listens; it ends when this is dropped.
pub(super) struct Listening {
    words: UnboundedSender<Word>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Begins to listen.
    pub(super) fn begin(ear: Box<dyn Ear>, news: UnboundedSender<News>) -> Self {
        let (words, to_say) = unbounded_channel();
        Self { words, task: tokio::spawn(listen(ear, to_say, news)) }
    }

    /// Has something said.
    pub(super) fn say(&self, word: Word) {
        let _ = self.words.send(word); // who cannot hear cannot speak, and nobody waits for it
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(mut ear: Box<dyn Ear>, mut words: UnboundedReceiver<Word>, news: UnboundedSender<News>) {
    loop {
        tokio::select! {
            biased;
            Some(word) = words.recv() => {
                // What could not be said is lost as any message of a channel is; the next failure to hear is told.
                let _ = ear.say(word).await;
            }
            said = ear.next() => {
                if news.send(News::Said(said)).is_err() {
                    return;
                }
            }
        }
    }
}
