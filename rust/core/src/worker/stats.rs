//! Counters of a worker. Written by the core's thread, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::Value;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters and gauges.
        #[derive(Debug, Default)]
        pub struct Stats { $($(#[$doc])* pub $name: AtomicU64,)* }
        impl Stats {
            /// All of them by name.
            pub fn read(&self) -> Vec<(&'static str, Value)> {
                vec![$((stringify!($name), Value::from(self.$name.load(Ordering::Relaxed))),)*]
            }
        }
    };
}

stats! {
    /// Messages taken from the broker.
    taken,
    /// Runs that ended as the executor told.
    finished,
    /// Commits handed to the broker connection.
    committed,
    /// Commits that came too late and were dropped.
    refused,
    /// Children that died while they should not.
    lost,
    /// Jobs in hand now.
    in_hand,
    /// Of these: may run, but no slot is free.
    ready,
    /// Of these: their time has not come.
    waiting,
    /// Of these: in slots.
    in_slots,
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Sets the gauges.
    pub fn gauge(&self, [in_hand, ready, waiting, in_slots]: [usize; 4]) {
        self.in_hand.store(in_hand as u64, Ordering::Relaxed);
        self.ready.store(ready as u64, Ordering::Relaxed);
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.in_slots.store(in_slots as u64, Ordering::Relaxed);
    }
}
