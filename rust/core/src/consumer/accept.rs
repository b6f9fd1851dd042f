//! Delivery + Policy → Job, or what is to become of it at once (celery-inventory §11.2). Pure.

use std::borrow::Cow;
use std::time::Duration;

use crate::broker::Delivery;
use crate::clock::{Instant, WallTime};
use crate::event::{Event, EventKind};
use crate::job::Job;
use crate::job::ending::{Commit, Verdict};
use crate::job::limits::{Keys, Limits};
use crate::job::policy::Policies;
use crate::message::properties::Properties;
use crate::message::task::Headers;
use crate::store::record::Exception;
use crate::store::{Chords, Record, part_of};

/// What a Delivery is.
#[derive(Debug)]
pub enum Accepted {
    /// Something to run.
    Job(Box<Job>),
    /// Nothing to run: what becomes of it, and what is told.
    Settled(Commit, Event),
}

/// Reads a Delivery's headers and says what it is.
pub fn accept(delivery: Delivery, policies: &Policies, now: Instant, wall: WallTime) -> Accepted {
    let message = delivery.message.clone(); // three pointers, so that headers can be read while the Delivery moves on
    let headers = match message.check_size().and_then(|()| Headers::parse(&message.headers)) {
        Ok(headers) => headers,
        Err(error) => return unreadable(delivery, policies, &error.to_string(), wall),
    };
    let (Some(name), Some(id)) = (headers.task.as_deref(), headers.id.as_deref()) else {
        let reason = "it has no task or id header: not a message of task protocol 2";
        return unreadable(delivery, policies, reason, wall);
    };
    let Some(policy) = policies.find(name) else {
        return unknown(delivery, policies, &headers, (name, id), wall);
    };
    let times = headers.eta().and_then(|due| Ok((due, headers.expires()?)));
    let (due, expires) = match times {
        Ok(times) => times,
        Err(error) => {
            let reason = format!("its eta or expires cannot be read: {error}");
            return unreadable(delivery, policies, &reason, wall);
        }
    };
    let (hard, soft) = headers.time_limits();
    Accepted::Job(Box::new(Job {
        id: id.to_owned(),
        name: name.to_owned(),
        policy: policy.clone(),
        due,
        expires,
        time_limit: seconds(hard),
        soft_time_limit: seconds(soft),
        ignore_result: headers.ignore_result,
        has_family: headers.group.is_some() || headers.parent_id.is_some(),
        received_at: now,
        keys: Keys::of(&headers),
        delivery,
    }))
}

/// A limit from a message: nonsense counts as none, as Celery treats a falsy one.
fn seconds(limit: Option<f64>) -> Option<Duration> {
    limit.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

fn correlation_id(properties: &[u8]) -> Option<String> {
    Properties::parse(properties).ok()?.correlation_id.map(Cow::into_owned)
}

/// Set aside; where the id can be told the caller hears of it.
fn unreadable(delivery: Delivery, policies: &Policies, reason: &str, wall: WallTime) -> Accepted {
    let (name, id) = Headers::names(&delivery.message.headers);
    // Of a message whose headers say nothing, the properties may tell whose caller waits.
    let id = id.or_else(|| correlation_id(&delivery.message.properties));
    let (name, id) = (name.unwrap_or_default(), id.unwrap_or_default());
    let event = told(EventKind::Buried, &delivery, &name, &id).with("reason", reason);
    let verdict = Verdict::Bury { reason: reason.to_owned(), died: false };
    let mut commit = Commit::settle(delivery.receipt, verdict);
    let exception = Exception::invalid(reason);
    commit.chords = Chords::of(part_of(&delivery.message, "FAILURE", &exception));
    if !id.is_empty() {
        let elsewhere =
            policies.find(&name).map_or(policies.results_elsewhere, |policy| policy.results_elsewhere);
        commit.add_state(&name, Record::of_exception(&id, "FAILURE", &exception, wall), elsewhere);
    }
    Accepted::Settled(commit, event)
}

fn unknown(
    delivery: Delivery,
    policies: &Policies,
    headers: &Headers<'_>,
    (name, id): (&str, &str),
    wall: WallTime,
) -> Accepted {
    let event = told(EventKind::Unknown, &delivery, name, id);
    let verdict =
        Verdict::Bury { reason: format!("no task named {name:?} is registered in the worker"), died: false };
    let mut commit = Commit::settle(delivery.receipt, verdict);
    let exception = Exception::not_registered(name);
    commit.chords = Chords::of(part_of(&delivery.message, "FAILURE", &exception));
    let record = Record::of_exception(id, "FAILURE", &exception, wall);
    commit.add_state(name, record, policies.results_elsewhere);
    let unlock = headers.unique_key.as_deref().map(|key| (key.to_owned(), id.to_owned()));
    commit.limits = Limits { unlock, ..Limits::default() }.boxed();
    Accepted::Settled(commit, event)
}

fn told(kind: EventKind, delivery: &Delivery, name: &str, id: &str) -> Event {
    Event::new(kind).with("id", id).with("name", name).with("queue", &*delivery.queue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Receipt;
    use crate::ident::Tag;
    use crate::job::policy::Policy;
    use crate::message::Message;

    fn accepted(headers: &'static str) -> Accepted {
        accepted_by(&Policies::new([Policy::named("add")]), headers)
    }

    fn accepted_by(policies: &Policies, headers: &'static str) -> Accepted {
        let delivery = Delivery {
            receipt: Receipt::new(Tag(1), 1),
            queue: "celery".into(),
            exchange: "".into(),
            routing_key: "celery".into(),
            priority: None,
            rank: 0,
            redelivered: false,
            deaths: 0,
            message: Message { headers: headers.into(), ..Message::default() },
        };
        accept(delivery, policies, Instant(0), WallTime(0))
    }

    #[test]
    fn a_message_of_a_known_task_becomes_a_job_with_its_limits() {
        let headers = r#"{"task":"add","id":"1","timelimit":[10,0],"eta":"1970-01-01T00:00:01+00:00","ignore_result":true}"#;
        let Accepted::Job(job) = accepted(headers) else { panic!("not accepted") };
        assert_eq!((job.hard_limit(), job.soft_limit()), (Some(Duration::from_secs(10)), None));
        assert_eq!(job.due, Some(WallTime(1000)));
        assert!(job.ignores_result() && job.must_report_start());
    }

    #[test]
    fn what_cannot_be_run_is_set_aside_with_the_reason() {
        for (headers, reason) in [
            ("", "headers are not a JSON object"),
            (r#"{"id":"1"}"#, "no task or id header"),
            (r#"{"task":"add","id":"1","eta":"soon"}"#, "eta or expires cannot be read"),
            (r#"{"task":"sub","id":"1"}"#, "no task named \"sub\""),
        ] {
            let Accepted::Settled(commit, _) = accepted(headers) else { panic!("{headers} was accepted") };
            let Some((_, Verdict::Bury { reason: said, .. })) = &commit.settle else {
                panic!("{headers} was not buried")
            };
            assert!(said.contains(reason), "{said}");
        }
    }

    #[test]
    fn a_caller_hears_that_its_message_cannot_be_read() {
        let headers = r#"{"task":"add","id":"1","timelimit":["x",null]}"#;
        let Accepted::Settled(commit, event) = accepted(headers) else { panic!() };
        assert_eq!(event.kind, EventKind::Buried);
        assert!(String::from_utf8_lossy(&commit.records[0].body).contains("InvalidTaskError"));
    }

    #[test]
    fn an_unknown_task_fails_with_not_registered() {
        let Accepted::Settled(commit, event) = accepted(r#"{"task":"sub","id":"1"}"#) else { panic!() };
        assert_eq!(event.kind, EventKind::Unknown);
        assert!(String::from_utf8_lossy(&commit.records[0].body).contains("NotRegistered"));
    }

    #[test]
    fn what_the_core_cannot_store_is_handed_on_under_the_name_of_the_task() {
        let mut policies = Policies::new([]);
        policies.results_elsewhere = true;
        let Accepted::Settled(commit, _) = accepted_by(&policies, r#"{"task":"sub","id":"1"}"#) else {
            panic!()
        };
        assert!(commit.records.is_empty());
        let handed_on = &commit.handed_on[0];
        assert_eq!((handed_on.name.as_str(), handed_on.record.state.as_str()), ("sub", "FAILURE"));
    }
}
