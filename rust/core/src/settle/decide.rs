//! Policy × ending → Verdict: one table for each way a run can end (celery-inventory §11.2).

use crate::job::ending::{Ending, Verdict};
use crate::job::policy::Policy;

/// What becomes of a delivery, and whether the core must store the failure that nobody else can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// `None`: it was acknowledged when it started.
    pub verdict: Option<Verdict>,
    /// The core stores a FAILURE, if the task's results are wanted.
    pub store_failure: bool,
}

/// The executor told how the run ended. `acked`: it was acknowledged when it started.
pub fn told(policy: &Policy, ending: Ending, reason: &str, acked: bool) -> Option<Verdict> {
    if acked {
        return None;
    }
    Some(match ending {
        Ending::Done | Ending::Retried | Ending::Ignored => Verdict::Ack,
        Ending::Failed if policy.acks_on_failure => Verdict::Ack,
        Ending::Failed => bury(reason, "the task failed and its acks_on_failure is off"),
        Ending::Rejected => bury(reason, "the task rejected its message"),
        Ending::Undecodable => bury(reason, "the message could not be decoded"),
        Ending::Requeued => Verdict::Requeue { died: false },
    })
}

/// The child died while it ran the job. `deaths`: how many had died on it before.
pub fn lost(policy: &Policy, deaths: u32, acked: bool) -> Decision {
    if acked {
        return Decision { verdict: None, store_failure: true };
    }
    if !policy.reject_on_worker_lost {
        return Decision { verdict: Some(Verdict::Ack), store_failure: true };
    }
    if deaths + 1 >= policy.max_deaths {
        let reason =
            format!("{} workers died running it (task_max_deaths = {})", deaths + 1, policy.max_deaths);
        return Decision { verdict: Some(Verdict::Bury { reason, died: true }), store_failure: true };
    }
    Decision { verdict: Some(Verdict::Requeue { died: true }), store_failure: false }
}

/// The run passed its hard limit and its child was killed.
pub fn timed_out(policy: &Policy, deaths: u32, acked: bool) -> Decision {
    if acked || policy.acks_on_timeout {
        return Decision { verdict: (!acked).then_some(Verdict::Ack), store_failure: true };
    }
    // Put back, but counted as a death: a task that can never end in time must not run for ever.
    let mut decision = lost(&Policy { reject_on_worker_lost: true, ..policy.clone() }, deaths, false);
    if let Some(Verdict::Bury { reason, .. }) = &mut decision.verdict {
        *reason =
            format!("it ran out of time {} times (task_max_deaths = {})", deaths + 1, policy.max_deaths);
    }
    decision
}

/// The run was ended by a cold stop of its worker, or finished without its result reaching the parent.
pub fn interrupted(acked: bool) -> Decision {
    let verdict = (!acked).then_some(Verdict::Requeue { died: false });
    Decision { verdict, store_failure: acked }
}

fn bury(reason: &str, otherwise: &str) -> Verdict {
    let reason = if reason.is_empty() { otherwise } else { reason }.to_owned();
    Verdict::Bury { reason, died: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
        let mut policy = Policy::named("shop.add");
        change(&mut policy);
        policy
    }

    #[test]
    fn what_the_executor_tells_decides_with_late_ack() {
        let late = policy(|_| {});
        for ending in [Ending::Done, Ending::Failed, Ending::Retried, Ending::Ignored] {
            assert_eq!(told(&late, ending, "", false), Some(Verdict::Ack), "{ending:?}");
        }
        assert_eq!(told(&late, Ending::Requeued, "", false), Some(Verdict::Requeue { died: false }));
        for ending in [Ending::Rejected, Ending::Undecodable] {
            assert!(
                matches!(told(&late, ending, "no", false), Some(Verdict::Bury { reason, died: false }) if reason == "no")
            );
        }
        let strict = policy(|policy| policy.acks_on_failure = false);
        assert!(matches!(told(&strict, Ending::Failed, "", false), Some(Verdict::Bury { .. })));
    }

    #[test]
    fn nothing_is_settled_twice_after_an_early_ack() {
        let early = policy(|policy| policy.acks_late = false);
        for code in 0..=6 {
            let ending = Ending::from_code(code).unwrap();
            assert_eq!(told(&early, ending, "", true), None);
        }
        assert_eq!(lost(&early, 0, true), Decision { verdict: None, store_failure: true });
        assert_eq!(timed_out(&early, 0, true).verdict, None);
        assert_eq!(interrupted(true).verdict, None);
    }

    #[test]
    fn a_task_that_kills_its_workers_is_set_aside_at_the_limit() {
        let late = policy(|_| {});
        assert_eq!(lost(&late, 0, false).verdict, Some(Verdict::Requeue { died: true }));
        assert_eq!(lost(&late, 1, false).verdict, Some(Verdict::Requeue { died: true }));
        let third = lost(&late, 2, false);
        assert!(matches!(third.verdict, Some(Verdict::Bury { died: true, .. })) && third.store_failure);
        let once = policy(|policy| policy.reject_on_worker_lost = false);
        assert_eq!(lost(&once, 0, false), Decision { verdict: Some(Verdict::Ack), store_failure: true });
    }

    #[test]
    fn a_run_out_of_time_is_acknowledged_or_put_back_as_the_task_says() {
        assert_eq!(
            timed_out(&policy(|_| {}), 0, false),
            Decision { verdict: Some(Verdict::Ack), store_failure: true }
        );
        let back = policy(|policy| policy.acks_on_timeout = false);
        assert_eq!(timed_out(&back, 0, false).verdict, Some(Verdict::Requeue { died: true }));
        assert!(matches!(timed_out(&back, 2, false).verdict, Some(Verdict::Bury { .. })));
    }
}
