//! How many more messages to ask for. Pure.

use std::time::Duration;

/// How far to take ahead of the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefetch {
    /// As much as is worked off in about 20 ms.
    Auto,
    /// This many per slot; 0: without limit.
    PerSlot(u32),
}

/// As much is held as is worked off in about this time.
const AHEAD: Duration = Duration::from_millis(20);
/// At most so many messages are held, or as many as may run, whatever is asked for: memory is bounded.
const CAPACITY: usize = 4096;

/// How many more messages to ask for, with `slots` places where jobs run, `rate` runs ended per second lately, and
/// `held` messages in hand that wait for a slot or are in one.
///
/// With long tasks this asks for a message only when a slot is free, so that a short job never waits here behind a
/// long one while another worker is idle.
pub fn credit(prefetch: Prefetch, slots: usize, rate: f64, held: usize) -> usize {
    let target = match prefetch {
        _ if slots == 0 => 0,
        Prefetch::Auto => slots.max((rate * AHEAD.as_secs_f64()) as usize),
        Prefetch::PerSlot(0) => CAPACITY,
        Prefetch::PerSlot(count) => slots * count as usize,
    };
    target.min(CAPACITY.max(slots)).saturating_sub(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_what_is_worked_off_soon_and_never_less_than_a_job_a_slot() {
        for (prefetch, slots, rate, held, expected) in [
            (Prefetch::Auto, 2, 0.0, 0, 2),
            (Prefetch::Auto, 2, 0.0, 2, 0),
            (Prefetch::Auto, 2, 500.0, 4, 6),
            (Prefetch::Auto, 2, 1_000_000.0, 96, 4000),
            (Prefetch::Auto, 0, 200.0, 0, 0),
            (Prefetch::PerSlot(4), 2, 0.0, 3, 5),
            (Prefetch::PerSlot(1), 2, 9000.0, 9, 0),
            (Prefetch::PerSlot(0), 2, 0.0, 96, 4000),
            (Prefetch::Auto, 5000, 0.0, 0, 5000),
            (Prefetch::PerSlot(4), 5000, 0.0, 0, 5000),
        ] {
            assert_eq!(credit(prefetch, slots, rate, held), expected, "{prefetch:?} {slots} {rate} {held}");
        }
    }
}
