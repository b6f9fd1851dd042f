//! The brokers under test, and the words the tests are written in.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastq_core::broker::memory::MemoryBroker;
#[cfg(feature = "redis")]
use fastq_core::broker::redis::{RedisBroker, RedisConfig};
#[cfg(feature = "sqlite")]
use fastq_core::broker::sqlite::{SqliteBroker, SqliteConfig};
use fastq_core::broker::{Broker, Delivery, Depth, Harvest, Publication, Queue, Session, Subscription};
use fastq_core::clock::{Clock, HandClock};
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::message::Message;
use fastq_core::store::Record;

#[cfg(feature = "redis")]
use crate::redis_server::Server;

/// How long a test waits for a fact before it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A broker under test on a clock turned by hand.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Arc<HandClock>,
    /// Removes the broker's files in the end.
    _folder: Option<tempfile::TempDir>,
    #[cfg(feature = "redis")]
    pub(crate) server: Option<Server>,
}

/// Keeps a story's closure from capturing the broker alone, which would remove the folder at its first line.
impl Drop for Subject {
    fn drop(&mut self) {
        self.broker.close();
    }
}

/// Every broker, new and empty.
pub(crate) fn brokers() -> Vec<Subject> {
    let mut subjects = vec![memory()];
    #[cfg(feature = "sqlite")]
    subjects.push(sqlite());
    #[cfg(feature = "redis")]
    if crate::redis_server::is_installed() {
        subjects.push(redis());
    }
    subjects
}

fn hand() -> (Arc<HandClock>, Clock) {
    let hand = Arc::new(HandClock::default());
    hand.advance(Duration::from_secs(1_800_000_000));
    (Arc::clone(&hand), Clock::Hand(hand))
}

fn memory() -> Subject {
    let (clock, passed) = hand();
    Subject {
        name: "memory",
        broker: Arc::new(MemoryBroker::private(passed)),
        clock,
        _folder: None,
        #[cfg(feature = "redis")]
        server: None,
    }
}

#[cfg(feature = "redis")]
pub(crate) fn redis() -> Subject {
    redis_with(r#"{"global_keyprefix": "test."}"#)
}

/// A broker on a Redis server of its own, with transport options.
#[cfg(feature = "redis")]
pub(crate) fn redis_with(options: &str) -> Subject {
    let server = Server::start(&[]);
    let (clock, passed) = hand();
    let config = RedisConfig::at(&server.url(), options).unwrap();
    let broker = Arc::new(RedisBroker::new(config, passed));
    Subject { name: "redis", broker, clock, _folder: None, server: Some(server) }
}

#[cfg(feature = "sqlite")]
pub(crate) fn sqlite() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let (clock, passed) = hand();
    let config = SqliteConfig::at(&folder.path().join("queue.db")).unwrap();
    Subject {
        name: "sqlite",
        broker: Arc::new(SqliteBroker::new(config, passed)),
        clock,
        _folder: Some(folder),
        #[cfg(feature = "redis")]
        server: None,
    }
}

/// Runs an async story against every broker, with a limit.
pub(crate) fn each<F, S>(story: S)
where
    F: Future<Output = ()>,
    S: Fn(Subject) -> F,
{
    for subject in brokers() {
        run(subject, &story);
    }
}

/// Runs an async story against one broker, with a limit.
pub(crate) fn run<F: Future<Output = ()>>(subject: Subject, story: impl Fn(Subject) -> F) {
    let name = subject.name;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let within = async { tokio::time::timeout(LIMIT, story(subject)).await };
    assert!(runtime.block_on(within).is_ok(), "{name}: not done within {LIMIT:?}");
}

/// Waits for a fact.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
    }
}

impl Subject {
    /// Sends one message straight to a queue.
    pub(crate) fn send(&self, queue: &str, id: &str) {
        self.broker.publish(&[to(queue, id)]).unwrap();
    }

    /// A session on some queues.
    pub(crate) async fn session(&self, queues: &[&str]) -> Box<dyn Session> {
        self.broker.subscribe(subscription(queues)).await.unwrap()
    }

    /// Lets time pass, for the broker's clock and for a server with a clock of its own.
    pub(crate) fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
        #[cfg(feature = "redis")]
        if let Some(server) = &self.server {
            server.age(duration);
        }
    }

    /// The time of the broker's clock.
    pub(crate) fn clock_now(&self) -> fastq_core::clock::WallTime {
        Clock::Hand(Arc::clone(&self.clock)).wall()
    }

    pub(crate) fn depth(&self, queue: &str) -> Depth {
        let depths = self.broker.depths().unwrap();
        depths.into_iter().find(|depth| depth.queue == queue).unwrap_or_default()
    }
}

pub(crate) fn subscription(queues: &[&str]) -> Subscription {
    Subscription {
        queues: queues.iter().map(|name| Queue::named(*name)).collect(),
        node: "fastq@test".into(),
        lease: Duration::from_secs(10),
        max_deaths: 3,
        page: None,
        result_expires: Some(Duration::from_secs(3600)),
        mailbox: Some("celery.pidbox".into()),
        chord_expires: Some(Duration::from_secs(3600)),
        internal: None,
        patience: None,
    }
}

/// A publication straight to a queue.
pub(crate) fn to(queue: &str, id: &str) -> Publication {
    Publication {
        exchange: String::new(),
        routing_key: queue.into(),
        priority: None,
        due: None,
        message: message(id),
    }
}

pub(crate) fn message(id: &str) -> Message {
    Message {
        headers: Bytes::from(format!(r#"{{"task":"shop.add","id":"{id}"}}"#)),
        properties: Bytes::from_static(br#"{"content_type":"application/json"}"#),
        body: Bytes::from(format!("body of {id}")),
    }
}

pub(crate) fn id_of(delivery: &Delivery) -> String {
    let headers = fastq_core::message::task::Headers::parse(&delivery.message.headers).unwrap();
    headers.id.unwrap().into_owned()
}

pub(crate) fn ids(harvest: &Harvest) -> Vec<String> {
    harvest.deliveries.iter().map(id_of).collect()
}

/// Takes without settling anything.
pub(crate) async fn take(session: &mut Box<dyn Session>, credit: usize) -> Harvest {
    session.exchange(&mut Vec::new(), credit).await.unwrap()
}

/// Settles one delivery and takes nothing.
pub(crate) async fn settle(session: &mut Box<dyn Session>, delivery: Delivery, verdict: Verdict) -> Harvest {
    let mut commits = vec![Commit::settle(delivery.receipt, verdict)];
    let harvest = session.exchange(&mut commits, 0).await.unwrap();
    assert!(commits.is_empty());
    harvest
}

pub(crate) fn record(id: &str, state: &str) -> Record {
    Record {
        task_id: id.into(),
        state: state.into(),
        content_type: "application/json".into(),
        body: format!(r#"{{"status":"{state}"}}"#).into_bytes(),
    }
}
