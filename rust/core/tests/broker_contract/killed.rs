//! A worker in a process of its own, for tests that kill it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fastq_core::broker::{Broker, Harvest};
use fastq_core::pool::page::{CLAIM, PAGE_BYTES, TAG, WORDS_PER_SLOT};

use crate::support::{LIMIT, block_on, subscription, take, to};

/// Tells the process where its broker is, and how many of the messages it takes it shall mark as started.
const PLACE: &str = "FASTQ_TEST_PLACE";
const STARTED: &str = "FASTQ_TEST_STARTED";

/// A worker that takes three messages, marks some as started, and hangs.
pub(crate) struct Worker(Child);

impl Worker {
    /// Runs the test of this name, which must be [`work`], in a process of its own, and waits until it holds messages.
    pub(crate) fn start(test: &str, place: impl AsRef<OsStr>, started: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(PLACE, place)
            .env(STARTED, started.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let said = output.lines().map_while(Result::ok).any(|line| line.contains("holding"));
        assert!(said, "the worker process ended early");
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as the kernel's memory killer would.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What that process does; in another one it returns.
#[expect(clippy::print_stdout, reason = "who started the process reads that it holds messages")]
pub(crate) fn work(at: impl FnOnce(&OsStr) -> Arc<dyn Broker>) {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let started: usize = std::env::var(STARTED).unwrap().parse().unwrap();
    let broker = at(&place);
    let page = broker.run_directory().unwrap().unwrap().join(format!("page-{}", std::process::id()));
    block_on(async {
        let mut subscription = subscription(&["q"]);
        subscription.page = Some(page.clone());
        let mut session = broker.subscribe(subscription).await.unwrap();
        let harvest = take(&mut session, 3).await;
        write_page(&page, &harvest, started);
        println!("holding {}", harvest.deliveries.len());
        tokio::time::sleep(LIMIT).await;
        drop(session);
    });
}

fn write_page(page: &Path, harvest: &Harvest, started: usize) {
    let mut words = vec![0_u64; PAGE_BYTES / 8];
    for (slot, delivery) in harvest.deliveries.iter().take(started).enumerate() {
        words[slot * WORDS_PER_SLOT + CLAIM] = 1;
        words[slot * WORDS_PER_SLOT + TAG] = delivery.tag().0;
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    std::fs::write(page, bytes).unwrap();
}

/// Sends what it takes.
pub(crate) fn publish_three(broker: &dyn Broker) {
    broker.publish(&["1", "2", "3"].map(|id| to("q", id))).unwrap();
}
