//! Moving the log into the file beside the work, so that no commit waits for the disk.
//!
//! SQLite does it by itself in the commit that finds 4000 pages in the log, and that commit then waits for the disk
//! (measured: 10 to 25 ms). Here a thread with a connection of its own does most of it before; what it cannot do is
//! begin the log anew while others write, which SQLite's own way still does, with little left to wait for.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::config::SqliteConfig;
use super::connection::Handle;
use super::keeper::Keeper;
use crate::error::Result;

/// Pages of the log that are worth a visit to the disk.
const WORTH_PAGES: i64 = 1000;
/// How often to look, at most.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(1);

/// The session's side: says when there may be something to move. Dropped, the thread ends.
pub(super) struct Checkpointer {
    nudges: Option<SyncSender<()>>,
    last: Instant,
}

impl Checkpointer {
    /// Starts the thread. It opens nothing before the first nudge. Without a thread the commits do the work.
    pub(super) fn start(config: SqliteConfig) -> Self {
        let (nudges, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new().name("fastq-checkpoint".into());
        let started = thread.spawn(move || run(config, &receiver));
        Self { nudges: started.is_ok().then_some(nudges), last: Instant::now() }
    }

    /// Something was written. Costs a look at the clock, mostly.
    pub(super) fn nudge(&mut self) {
        if self.last.elapsed() < LOOK_EVERY {
            return;
        }
        self.last = Instant::now();
        if let Some(nudges) = &self.nudges {
            // Full: it has not yet come to the last one.
            let _ = nudges.try_send(());
        }
    }
}

fn run(config: SqliteConfig, nudges: &Receiver<()>) {
    let keeper = Keeper::new(config);
    while nudges.recv().is_ok() {
        // Whatever fails here fails in a commit too, and is reported there.
        let _ = keeper.lend("move the log", PATIENCE, |handle| {
            if pending(handle, "NOOP")? >= WORTH_PAGES {
                pending(handle, "PASSIVE")?;
            }
            Ok(())
        });
    }
}

/// Runs a checkpoint; returns how many pages it has left in the log.
fn pending(handle: &Handle, mode: &str) -> Result<i64> {
    let mut checkpoint = handle.connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    Ok(checkpoint.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))?)
}
