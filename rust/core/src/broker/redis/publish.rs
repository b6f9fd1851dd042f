//! Putting messages in: from publications to commands. Pure: who sends them waits or blocks as it likes.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::config::RedisConfig;
use super::routes::{Routes, Target};
use super::wire::Batch;
use crate::broker::Publication;
use crate::clock::WallTime;
use crate::error::{Error, Result};
use crate::message::envelope::{Address, seal};

/// A message that says itself when it is due is put into its queue so much earlier: workers wait for the last seconds,
/// to the millisecond, and those of Celery can, too.
const AHEAD: Duration = Duration::from_secs(10);
/// One that is due within this time goes straight into its queue.
const SOON: Duration = Duration::from_secs(60);

/// The commands of some publications of a client's, to be carried out all or none. What goes into one list goes in one
/// command. A message that says itself when it is due goes there, too, however long that is: there may be no worker but
/// Celery's, and a fastq worker puts it aside.
///
/// # Errors
/// As [`publish`].
pub(super) fn publish_all(
    config: &RedisConfig,
    routes: &mut Routes,
    publications: &[Publication],
    now: WallTime,
) -> Result<Batch> {
    let (mut batch, mut lists) = (Batch::new(), Lists::default());
    for publication in publications {
        let held = publication.kept_until(now);
        place(config, routes, publication, held, &mut batch, &mut lists)?;
    }
    lists.push(&mut batch);
    Ok(if batch.len() > 1 { batch.in_transaction() } else { batch })
}

/// Adds the commands of one publication of a client's, as [`publish_all`] would; the queues it goes to.
///
/// # Errors
/// As [`publish`].
pub(super) fn publish_one(
    config: &RedisConfig,
    routes: &mut Routes,
    publication: &Publication,
    now: WallTime,
    batch: &mut Batch,
) -> Result<Vec<String>> {
    let mut lists = Lists::default();
    let held = publication.kept_until(now);
    place(config, routes, publication, held, batch, &mut lists)?;
    lists.push(batch);
    Ok(match routes.target(config, publication)? {
        Target::Channel(_) => Vec::new(),
        Target::Queues(queues) => queues,
    })
}

/// What is to be pushed into lists, by list.
#[derive(Default)]
struct Lists {
    places: HashMap<String, usize>,
    lists: Vec<(String, Vec<Vec<u8>>)>,
}

impl Lists {
    fn add(&mut self, list: String, envelope: Vec<u8>) {
        let place = *self.places.entry(list).or_insert_with_key(|list| {
            self.lists.push((list.clone(), Vec::new()));
            self.lists.len() - 1
        });
        self.lists[place].1.push(envelope);
    }

    fn push(&self, batch: &mut Batch) {
        for (list, envelopes) in &self.lists {
            let mut words: Vec<&[u8]> = vec![b"LPUSH", list.as_bytes()];
            words.extend(envelopes.iter().map(Vec::as_slice));
            batch.add(&words);
        }
    }
}

/// Adds the commands of one publication of a worker's; the keys of the lists it goes into now.
///
/// # Errors
/// `NotFound` when it would reach no queue, `Encode` when it cannot be written.
pub(super) fn publish(
    config: &RedisConfig,
    routes: &mut Routes,
    publication: &Publication,
    now: WallTime,
    batch: &mut Batch,
) -> Result<Vec<String>> {
    let mut lists = Lists::default();
    place(config, routes, publication, held_until(publication, now), batch, &mut lists)?;
    lists.push(batch);
    Ok(lists.lists.into_iter().map(|(list, _)| list).collect())
}

fn place(
    config: &RedisConfig,
    routes: &mut Routes,
    publication: &Publication,
    held: Option<WallTime>,
    batch: &mut Batch,
    lists: &mut Lists,
) -> Result<()> {
    let target = routes.target(config, publication)?;
    let envelope = sealed(publication)?;
    match target {
        Target::Channel(channel) => batch.add(&[b"PUBLISH", channel.as_bytes(), &envelope]),
        Target::Queues(queues) => {
            let step = config.steps.of(publication.priority);
            for queue in queues {
                let list = config.keys.list_name(&queue, step);
                match held {
                    None => lists.add(config.keys.key(&list), envelope.clone()),
                    Some(until) => delay(config, &list, &envelope, until, batch),
                }
                if routes.is_new(&queue) {
                    register(config, &queue, batch);
                }
            }
        }
    }
    Ok(())
}

/// A publication in its envelope, under a name of its own.
pub(super) fn sealed(publication: &Publication) -> Result<Vec<u8>> {
    let tag = Uuid::new_v4().hyphenated().to_string();
    let address = Address {
        exchange: &publication.exchange,
        routing_key: &publication.routing_key,
        priority: publication.priority,
        delivery_tag: &tag,
    };
    seal(&publication.message, address)
}

/// Writes down that a queue exists, for those who count messages.
fn register(config: &RedisConfig, queue: &str, batch: &mut Batch) {
    batch.add(&[b"HSETNX", config.keys.key("fastq:queues").as_bytes(), queue.as_bytes(), b""]);
}

/// Puts a message beside its list until a moment.
fn delay(config: &RedisConfig, list: &str, envelope: &[u8], until: WallTime, batch: &mut Batch) {
    let score = until.0.to_string();
    batch.add(&[b"ZADD", config.keys.delayed(list).as_bytes(), score.as_bytes(), envelope]);
    batch.add(&[b"ZADD", config.keys.key("fastq:due").as_bytes(), b"LT", score.as_bytes(), list.as_bytes()]);
}

/// How long a publication of a worker's is kept out of its list; `None`: not at all.
fn held_until(publication: &Publication, now: WallTime) -> Option<WallTime> {
    let due = publication.due.filter(|due| *due > now)?;
    if !publication.says_when() {
        return Some(due);
    }
    let ahead = i64::try_from(AHEAD.as_millis()).unwrap_or(0);
    (due.from_now(now) > SOON).then_some(WallTime(due.0 - ahead))
}

/// A follow-up that no queue would get is kept with the reason: failing its Commit would repeat the task for ever.
pub(super) fn bury_unroutable(
    config: &RedisConfig,
    routes: &mut Routes,
    publication: &Publication,
    error: &Error,
    now: WallTime,
    batch: &mut Batch,
) -> Result<()> {
    let envelope = sealed(publication)?;
    let queue = &publication.routing_key;
    let step = config.steps.of(publication.priority);
    let letter = super::dead::letter(&envelope, step, &error.to_string(), 0, now);
    batch.add(&[b"LPUSH", config.keys.dead(queue).as_bytes(), &letter]);
    if routes.is_new(queue) {
        register(config, queue, batch);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn publication(headers: &'static str, due: Option<i64>) -> Publication {
        Publication {
            exchange: String::new(),
            routing_key: "q".into(),
            priority: None,
            due: due.map(WallTime),
            message: Message { headers: headers.into(), ..Message::default() },
        }
    }

    #[test]
    fn a_message_is_kept_out_of_its_list_until_it_is_due_or_nearly_so_when_it_says_so_itself() {
        let eta = r#"{"eta":"2026-11-22T11:42:22+00:00"}"#;
        for (headers, due, expected) in [
            ("{}", None, None),
            ("{}", Some(1_000), None),
            ("{}", Some(1_001), Some(1_001)),
            (eta, Some(61_000), None),
            (eta, Some(61_001), Some(51_001)),
            (r#"{"eta":null}"#, Some(1_001), Some(1_001)),
        ] {
            let held = held_until(&publication(headers, due), WallTime(1_000));
            assert_eq!(held, expected.map(WallTime), "{headers} {due:?}");
        }
    }
}
