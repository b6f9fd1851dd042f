//! The brokers under test, and the words the tests are written in.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
#[cfg(feature = "amqp")]
use fastq_core::broker::amqp::{AmqpBroker, AmqpConfig};
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
    #[cfg(feature = "amqp")]
    if crate::rabbitmq_server::is_running() {
        subjects.push(amqp());
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

/// A broker on a virtual host of its own, on the machine's clock: the server has no other.
#[cfg(feature = "amqp")]
pub(crate) fn amqp() -> Subject {
    let config =
        AmqpConfig::at(&crate::rabbitmq_server::place().1, r#"{"delayed_queue_type": "classic"}"#).unwrap();
    Subject {
        name: "amqp",
        broker: Arc::new(AmqpBroker::new(config, Clock::system())),
        clock: Arc::default(),
        _folder: None,
        #[cfg(feature = "redis")]
        server: None,
    }
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

thread_local! {
    /// The broker under test in this thread pushes.
    static PUSHES: Cell<bool> = const { Cell::new(false) };
}

/// Says whether the broker under test in this thread pushes.
pub(crate) fn pushes(pushes: bool) {
    PUSHES.set(pushes);
}

/// How long it may take until something that a broker pushes has come.
const PUSHED_WITHIN: Duration = Duration::from_millis(150);

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

/// Runs an async story against the brokers that can do what it is about, with a limit.
pub(crate) fn each_that<F, S>(can: fn(&Subject) -> bool, story: S)
where
    F: Future<Output = ()>,
    S: Fn(Subject) -> F,
{
    for subject in brokers().into_iter().filter(can) {
        run(subject, &story);
    }
}

/// Runs an async story against one broker, with a limit.
pub(crate) fn run<F: Future<Output = ()>>(subject: Subject, story: impl Fn(Subject) -> F) {
    let name = subject.name;
    pushes(subject.broker.capabilities().pushes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let within = async { tokio::time::timeout(LIMIT, story(subject)).await };
    assert!(runtime.block_on(within).is_ok(), "{name}: not done within {LIMIT:?}");
}

/// Runs an async story by itself, with a limit.
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) fn block_on<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, story).await.expect("within the limit") })
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

    /// Whether time that a test lets pass by hand passes for its messages, too.
    pub(crate) fn obeys_clock(&self) -> bool {
        self.broker.capabilities().sees_workers
    }

    /// Checks which queues the one worker takes from, where the broker knows.
    pub(crate) fn takes_from(&self, queues: &[&str]) {
        if self.broker.capabilities().sees_workers {
            assert_eq!(self.broker.workers().unwrap()[0].queues, queues, "{}", self.name);
        }
    }

    /// Checks what is in flight, where the broker knows.
    pub(crate) fn in_flight(&self, queue: &str, expected: u64) {
        if self.broker.capabilities().sees_workers {
            assert_eq!(self.depth(queue).in_flight, expected, "{}", self.name);
        }
    }

    /// Checks what waits for its time, where the broker knows.
    pub(crate) fn delayed(&self, queue: &str, expected: u64) {
        if self.broker.capabilities().sees_workers {
            assert_eq!(self.depth(queue).delayed, expected, "{}", self.name);
        }
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
        let look = || {
            let depths = self.broker.depths().unwrap();
            depths.into_iter().find(|depth| depth.queue == queue).unwrap_or_default()
        };
        let (mut depth, mut since) = (look(), Instant::now());
        // What was acknowledged over another connection may be on its way.
        while self.broker.capabilities().pushes && since.elapsed() < PUSHED_WITHIN {
            let now = look();
            if now != depth {
                (depth, since) = (now, Instant::now());
            }
        }
        depth
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
        properties: Bytes::from_static(br#"{"delivery_mode":2,"content_type":"application/json"}"#),
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
    exchange(session, Vec::new(), credit).await
}

/// Settles and takes, all that is there: of a broker that pushes it may have to come first.
pub(crate) async fn exchange(
    session: &mut Box<dyn Session>,
    mut commits: Vec<Commit>,
    credit: usize,
) -> Harvest {
    let mut harvest = session.exchange(&mut commits, credit).await.unwrap();
    assert!(commits.is_empty());
    let mut until = tokio::time::Instant::now() + PUSHED_WITHIN;
    while PUSHES.get() && harvest.deliveries.len() < credit {
        if tokio::time::timeout_at(until, session.arrival()).await.is_err() {
            break;
        }
        let left = credit - harvest.deliveries.len();
        let more = session.exchange(&mut Vec::new(), left).await.unwrap();
        if !more.deliveries.is_empty() {
            until = tokio::time::Instant::now() + PUSHED_WITHIN;
        }
        harvest.deliveries.extend(more.deliveries);
        harvest.more = more.more;
    }
    harvest
}

/// Checks whether more was announced than was taken, where the broker can know.
pub(crate) fn announced(harvest: &Harvest, more: bool) {
    assert!(PUSHES.get() || harvest.more == more);
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
