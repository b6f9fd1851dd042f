//! How long runs take, and how many end per second: what batching and prefetching are decided on.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Instant;

/// A run below this is short: handing over several at once costs nobody a noticeable wait.
pub const SHORT: Duration = Duration::from_millis(1);
/// What is handed to one slot at once may take so long together.
pub const TOGETHER: Duration = Duration::from_millis(2);
/// Runs seen before a task is believed to be short.
const SAMPLES: u32 = 4;

/// Moving averages of run times by task name.
#[derive(Debug, Default)]
pub struct Estimates(HashMap<String, Estimate>);

#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    nanoseconds: f64,
    samples: u32,
}

impl Estimates {
    /// Notes a run of the task called `name`. A long one counts at once, a short one little by little, so that a task
    /// which is sometimes slow is not taken for short.
    pub fn note(&mut self, name: &str, runtime: Duration) {
        let sample = runtime.as_nanos() as f64;
        if let Some(estimate) = self.0.get_mut(name) {
            let weight = if sample > estimate.nanoseconds { 0.5 } else { 0.1 };
            estimate.nanoseconds += (sample - estimate.nanoseconds) * weight;
            estimate.samples = estimate.samples.saturating_add(1);
        } else {
            self.0.insert(name.to_owned(), Estimate { nanoseconds: sample, samples: 1 });
        }
    }

    /// The expected run time of a task known to be short; `None` for every other.
    pub fn short(&self, name: &str) -> Option<Duration> {
        let estimate = self.0.get(name)?;
        let duration = Duration::from_nanos(estimate.nanoseconds as u64);
        (estimate.samples >= SAMPLES && duration < SHORT).then_some(duration)
    }
}

/// How many runs end per second, over the last moments in which there was something to run.
#[derive(Debug, Default)]
pub struct Rate {
    per_second: f64,
    ended: u32,
    since: Instant,
    looked_at: Instant,
    was_idle: bool,
}

impl Rate {
    const WINDOW: Duration = Duration::from_millis(20);
    /// A broker that gives nothing for a moment, as RabbitMQ when it collects its garbage, says nothing of how fast runs
    /// end here. After a longer pause other tasks may come.
    const PAUSE: Duration = Duration::from_millis(500);

    /// Notes the end of a run.
    pub fn note(&mut self) {
        self.ended += 1;
    }

    /// Runs per second as of `now`; `is_idle`: from now on there is nothing to run. A window without any end pulls it
    /// down the more, the longer it lasts.
    pub fn per_second(&mut self, now: Instant, is_idle: bool) -> f64 {
        let passed = now.since(self.looked_at);
        if self.was_idle && passed <= Self::PAUSE {
            self.since = self.since.after(passed);
        }
        (self.looked_at, self.was_idle) = (now, is_idle);
        let window = now.since(self.since);
        if window >= Self::WINDOW {
            let seconds = window.as_secs_f64();
            let measured = f64::from(self.ended) / seconds;
            let weight = (seconds / 0.1).clamp(0.3, 1.0);
            self.per_second += (measured - self.per_second) * weight;
            self.ended = 0;
            self.since = now;
        }
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_short_only_after_some_runs_and_not_after_a_long_one() {
        let mut estimates = Estimates::default();
        for _ in 0..SAMPLES {
            assert_eq!(estimates.short("add"), None);
            estimates.note("add", Duration::from_micros(10));
        }
        assert!(estimates.short("add").is_some());
        estimates.note("add", Duration::from_millis(50));
        assert_eq!(estimates.short("add"), None, "one long run makes it long");
    }

    #[test]
    fn the_rate_follows_what_ends_and_sinks_when_nothing_does() {
        let mut rate = Rate::default();
        for step in 1..=50_u64 {
            for _ in 0..20 {
                rate.note();
            }
            rate.per_second(Instant(step * 20_000_000), false);
        }
        let busy = rate.per_second(Instant(50 * 20_000_000), false);
        assert!((900.0..1100.0).contains(&busy), "{busy}");
        assert!(rate.per_second(Instant(3_000_000_000), false) < 1.0);
    }

    #[test]
    fn a_moment_without_anything_to_run_leaves_the_rate_as_it_is() {
        let ran = |pause: Duration| {
            let (mut rate, mut now) = (Rate::default(), Instant(0));
            for _ in 0..50 {
                (0..20).for_each(|_| rate.note());
                now = now.after(Rate::WINDOW);
                rate.per_second(now, false);
            }
            rate.note();
            rate.per_second(now, true);
            rate.per_second(now.after(pause), false)
        };
        let short = ran(Rate::PAUSE);
        assert!((900.0..1100.0).contains(&short), "{short}");
        assert!(ran(Rate::PAUSE * 2) < 100.0);
    }
}
