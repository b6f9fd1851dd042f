//! What is heard beside the messages: tasks that are called off, and remote commands.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::drive::Drive;
use super::mailbox::{self, Command, Request};
use crate::broker::{Said, Word, WorkerEntry};
use crate::consumer::Order;
use crate::dispatch::Input;
use crate::event::{Event, EventKind};
use crate::job::revocation::{Revocation, Target};
use crate::job::{Job, JobState};
use crate::message::{Message, time};

impl Drive {
    pub(super) fn said(&mut self, said: Said) {
        match said {
            Said::Revoked(revocations) => self.desk.inputs.push_back(Input::Revoked(revocations)),
            Said::Command(message) => self.remote(&message),
            Said::Asked { reply_to, entry } => {
                let (entry, held) = self.described(entry);
                let _ = self.orders.send(Order::Say(Word::Described { reply_to, entry, held }));
            }
            Said::Deaf(error) => {
                self.tell.put(Event::new(EventKind::Deaf).with("reason", error.to_string()));
            }
            Said::Hears => self.tell.put(Event::new(EventKind::Hears)),
        }
    }

    /// What this worker does, and how many messages of each queue it holds.
    fn described(&self, entry: WorkerEntry) -> (WorkerEntry, BTreeMap<String, u64>) {
        let mut held = BTreeMap::<String, u64>::new();
        for (job, _) in self.machine.jobs() {
            *held.entry(job.delivery.queue.to_string()).or_default() += 1;
        }
        let queues = self.queues.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let in_flight = held.values().sum();
        (WorkerEntry { in_flight, queues, ..entry }, held)
    }

    fn remote(&mut self, message: &Message) {
        let read = mailbox::read(message, &self.control.node, self.clock.wall(), self.control.keep);
        let Some(Request { command, reply_to }) = read else { return };
        let answer = self.obey(command);
        if let Some(reply_to) = reply_to {
            let _ = self.orders.send(Order::Say(reply_to.answer(&self.control.node, &answer)));
        }
    }

    /// Does what a command asks for; the answer, as Celery's workers word it.
    fn obey(&mut self, command: Command) -> Value {
        match command {
            Command::Revoke(revocations) => {
                let answer = self.answer_to_revoke(&revocations);
                self.call_off(revocations);
                json!({ "ok": answer })
            }
            Command::RevokeByStamps(revocations, headers) => {
                let shown: String = headers.to_string().chars().take(200).collect();
                let terminates = revocations.iter().any(|revocation| revocation.terminate.is_some());
                self.call_off(revocations);
                let end = if terminates { "revoked" } else { "flagged as revoked, but not terminated" };
                json!({ "ok": format!("headers {shown} {end}") })
            }
            Command::Ping => json!({"ok": "pong"}),
            Command::Revoked => {
                let ids = self.machine.revoked(self.now()).filter_map(|target| match target {
                    Target::Id(id) => Some(id.as_str()),
                    Target::Stamp { .. } => None,
                });
                ids.collect()
            }
            Command::Active => self.infos(|state| matches!(state, JobState::Sent(_) | JobState::Running(_))),
            Command::Reserved => {
                self.infos(|state| matches!(state, JobState::Ready | JobState::Limited | JobState::Acking))
            }
            Command::Scheduled => self.scheduled(),
            Command::Query(ids) => self.query(&ids),
            Command::Impossible(sentence) => {
                self.tell.put(Event::new(EventKind::Unheeded).with("reason", sentence.as_str()));
                json!({ "error": sentence })
            }
        }
    }

    fn answer_to_revoke(&self, revocations: &[Revocation]) -> String {
        let named: Vec<(&str, bool)> = revocations
            .iter()
            .filter_map(|revocation| match &revocation.target {
                Target::Id(id) => Some((id.as_str(), revocation.terminate.is_some())),
                Target::Stamp { .. } => None,
            })
            .collect();
        if !named.iter().any(|(_, terminates)| *terminates) {
            let ids: Vec<String> = named.iter().map(|(id, _)| format!("'{id}'")).collect();
            return format!("tasks {{{}}} flagged as revoked", ids.join(", "));
        }
        let held = self.machine.jobs();
        let running = held.filter(|(_, state)| matches!(state, JobState::Sent(_) | JobState::Running(_)));
        let running: Vec<&str> = running.map(|(job, _)| job.id.as_str()).collect();
        let ended: Vec<&str> = named.iter().map(|(id, _)| *id).filter(|id| running.contains(id)).collect();
        if ended.is_empty() {
            "terminate: tasks unknown".to_owned()
        } else {
            format!("terminate: {}", ended.join(", "))
        }
    }

    /// Tells the machine, and has it written into the record: workers that start later obey it, too.
    fn call_off(&mut self, revocations: Vec<Revocation>) {
        let _ = self.orders.send(Order::Say(Word::Keep(revocations.clone())));
        self.desk.inputs.push_back(Input::Revoked(revocations));
    }

    fn infos(&self, wanted: impl Fn(JobState) -> bool) -> Value {
        let jobs = self.machine.jobs().filter(|(_, state)| wanted(*state));
        jobs.map(|(job, state)| self.info(job, state)).collect()
    }

    fn scheduled(&self) -> Value {
        let jobs = self.machine.jobs().filter(|(_, state)| *state == JobState::Waiting);
        jobs.map(|(job, state)| {
            json!({"eta": job.due.map(time::format), "priority": 6, "request": self.info(job, state)})
        })
        .collect()
    }

    fn query(&self, ids: &[String]) -> Value {
        let named = self.machine.jobs().filter(|(job, _)| ids.contains(&job.id));
        let known = named.map(|(job, state)| {
            let word = match state {
                JobState::Sent(_) | JobState::Running(_) => "active",
                JobState::Waiting => "scheduled",
                _ => "reserved",
            };
            (job.id.clone(), json!([word, self.info(job, state)]))
        });
        Value::Object(known.collect())
    }

    /// What Celery tells of a task (celery-inventory §12.2). Arguments are not decoded here: they are as their sender
    /// has shown them.
    fn info(&self, job: &Job, state: JobState) -> Value {
        let headers: Value = serde_json::from_slice(&job.delivery.message.headers).unwrap_or_default();
        let slot = match state {
            JobState::Sent(slot) | JobState::Running(slot) => Some(slot),
            _ => None,
        };
        let delivery = &job.delivery;
        json!({
            "id": job.id,
            "name": job.name,
            "type": job.name,
            "args": headers["argsrepr"],
            "kwargs": headers["kwargsrepr"],
            "hostname": self.control.node,
            "time_start": Value::Null,
            "acknowledged": !job.policy.acks_late && slot.is_some(),
            "delivery_info": {
                "exchange": *delivery.exchange,
                "routing_key": *delivery.routing_key,
                "priority": delivery.priority.unwrap_or(0),
                "redelivered": delivery.redelivered,
            },
            "worker_pid": slot.and_then(|slot| self.pool.pid(slot)),
        })
    }
}
