//! Renewing the lease, and putting back what dead workers held. Every worker does it, for all others.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use redis::Value;

use super::lease::{Lease, is_page, remove_page, run_directory};
use super::mirror::Mirrored;
use super::session::RedisSession;
use super::source::{Place, tag_of};
use super::wire::{Batch, array, pairs, string};
use super::{chords, dead, tokens, wire};
use crate::broker::Renewal;
use crate::broker::process::Process;
use crate::clock::{Instant, WallTime};
use crate::error::{ErrorKind, Result};
use crate::message::envelope::{Opened, open, readdress};
use crate::message::task::Headers;
use crate::pool::page::{self, CLAIM, PERMITS, TAG, WORDS_PER_SLOT};
use crate::store::record::Exception;
use crate::store::redis::write;
use crate::store::{Record, part_of};

const TAKE_OVER: &str = include_str!("scripts/take_over.lua");
/// How long a reaper may take before another one does its work again. What a dead worker's waiting command took at
/// the last moment is found then, too.
const REAPING: Duration = Duration::from_secs(15);

/// What is known of the other workers without asking again.
pub(super) struct Neighbours {
    processes: HashMap<String, Process>,
    /// Since when the server has been within reach without a break. After an outage every lease has run out, and those
    /// who are back first must give the others time.
    reached_since: Instant,
    renewed: Option<Instant>,
    /// The server's time at which the first of the other leases ends unless it is renewed.
    first_end: Option<WallTime>,
    /// When a worker of this host last came or went, by the folder of their slot pages.
    came_or_went: Option<SystemTime>,
    /// When kombu's records were last looked at.
    pub(super) restored: Option<Instant>,
    /// The sets of workers whose reaping is not over.
    unfinished: bool,
}

impl Neighbours {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            processes: HashMap::new(),
            reached_since: now,
            renewed: None,
            first_end: None,
            came_or_went: None,
            restored: None,
            unfinished: true,
        }
    }

    /// The connection broke.
    pub(super) fn forget(&mut self, now: Instant) {
        self.reached_since = now;
        self.renewed = None;
    }

    /// Whether a process on this machine is gone whose lease was seen.
    fn sees_dead(&self) -> bool {
        self.processes.values().any(Process::is_gone)
    }

    /// Whether the lease of a worker that was seen has run out since.
    fn sees_end(&self, now: WallTime) -> bool {
        self.first_end.is_some_and(|end| end < now)
    }

    /// Whether a worker of this host has come or gone: one that is not known yet could not be seen to die.
    fn sees_change(&mut self) -> bool {
        let folder = run_directory().and_then(|folder| folder.metadata().ok()?.modified().ok());
        let before = std::mem::replace(&mut self.came_or_went, folder);
        before != folder
    }
}

/// What is known of the things a dead session left.
struct Estate {
    /// What its children had started; `None`: nobody knows.
    started: Option<HashSet<u64>>,
    mirrored: Mirrored,
}

/// A session that may be dead.
struct Suspect {
    session: String,
    is_gone: bool,
}

impl RedisSession {
    /// Moves the lease's end on and reaps, when it is time for either: asking the system whether processes live is
    /// cheap, asking the server is not.
    pub(super) async fn renew_and_reap(&mut self) -> Result<Renewal> {
        self.give_back_landed().await?;
        let now = self.clock.now();
        let is_due = self.neighbours.renewed.is_none_or(|renewed| now.since(renewed) >= self.lease.term / 3);
        let is_due = self.neighbours.sees_change() || is_due;
        if !is_due && !self.neighbours.sees_dead() && !self.neighbours.sees_end(self.now()) {
            return Ok(Renewal::default());
        }
        if self.link.is_none() {
            // A worker with nothing to settle or take for a while keeps its lease all the same.
            self.reconnect().await?;
        }
        let mut batch = Batch::new();
        let until = tokio::time::Instant::now() + self.lease.term;
        self.lease.renew(self.now(), &mut batch);
        self.renew_mirror(&mut batch);
        let mut replies = self.call(&batch).await?;
        if let Err(error) = Lease::renewed(&mut replies) {
            // A server that cannot write for now (out of memory, a replica) has taken nothing from anybody.
            if error.kind() == ErrorKind::Closed {
                self.take_for_dead();
            }
            return Err(error);
        }
        self.confirmed_until = until;
        self.neighbours.renewed = Some(now);
        self.book.look_inside = true;
        let mut renewal = self.put_back_others().await?;
        renewal.asked = true;
        renewal.recovered += self.restore().await?;
        Ok(renewal)
    }

    /// Puts back what workers held whose process is gone or whose lease has run out.
    pub(super) async fn put_back_others(&mut self) -> Result<Renewal> {
        let mut renewal = Renewal::default();
        for suspect in self.suspects().await? {
            self.reap(&suspect, &mut renewal).await?;
        }
        Ok(renewal)
    }

    async fn suspects(&mut self) -> Result<Vec<Suspect>> {
        let now = self.now();
        let keys = &self.config.keys;
        let mut batch = Batch::new();
        batch.add(&[b"ZRANGE", keys.key("fastq:workers").as_bytes(), b"0", b"-1", b"WITHSCORES"]);
        if self.neighbours.unfinished {
            batch.add(&[b"ZRANGE", keys.key("fastq:reaping").as_bytes(), b"0", b"-1", b"WITHSCORES"]);
        }
        let asked = batch.len();
        let mut replies = self.call(&batch).await?;
        let leases = pairs(replies.next()?)?;
        let reaping = if asked > 1 { pairs(replies.next()?)? } else { Vec::new() };
        self.neighbours.unfinished = !reaping.is_empty();
        self.learn_processes(&leases).await?;
        let others = leases.iter().filter(|(session, _)| *session != self.lease.session);
        self.neighbours.first_end = others.filter_map(|(_, until)| moment(until)).min();
        let in_reach = self.clock.now().since(self.neighbours.reached_since) >= self.lease.term;
        let mut suspects = Vec::new();
        for (session, until) in leases {
            let expired = in_reach && moment(&until).is_some_and(|until| until < now);
            let is_gone = self.neighbours.processes.get(&session).is_some_and(Process::is_gone);
            if session != self.lease.session && (expired || is_gone) {
                suspects.push(Suspect { session, is_gone });
            }
        }
        let late = reaping.into_iter().filter(|(_, until)| moment(until).is_some_and(|until| until < now));
        suspects.extend(late.map(|(session, _)| Suspect { session, is_gone: false }));
        Ok(suspects)
    }

    /// Asks who the workers are that were not known before.
    async fn learn_processes(&mut self, leases: &[(String, String)]) -> Result<()> {
        let here: HashSet<&str> = leases.iter().map(|(session, _)| session.as_str()).collect();
        self.neighbours.processes.retain(|session, _| here.contains(session.as_str()));
        let unknown: Vec<&str> = here
            .into_iter()
            .filter(|session| {
                !self.neighbours.processes.contains_key(*session) && *session != self.lease.session
            })
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for session in &unknown {
            let hash = self.config.keys.worker(session);
            batch.add(&[b"HMGET", hash.as_bytes(), b"pid", b"process_start", b"machine"]);
        }
        let mut replies = self.call(&batch).await?;
        for session in unknown {
            let mut fields = replies.array()?.into_iter().map(|field| string(field).unwrap_or_default());
            let mut field = || fields.next().unwrap_or_default();
            let (pid, started, machine) =
                (field().parse().unwrap_or(0), field().parse().unwrap_or(0), field());
            self.neighbours.processes.insert(session.to_owned(), Process { pid, started, machine });
        }
        Ok(())
    }

    async fn reap(&mut self, suspect: &Suspect, renewal: &mut Renewal) -> Result<()> {
        let keys = &self.config.keys;
        let session = suspect.session.as_str();
        let (workers, reaping) = (keys.key("fastq:workers"), keys.key("fastq:reaping"));
        let (hash, dead) = (keys.worker(session), keys.dead_worker(session));
        let now = self.now();
        let mut batch = Batch::new();
        batch.script(
            TAKE_OVER,
            &[workers.as_bytes(), reaping.as_bytes(), hash.as_bytes(), dead.as_bytes()],
            &[
                session.as_bytes(),
                now.0.to_string().as_bytes(),
                now.after(REAPING).0.to_string().as_bytes(),
                if suspect.is_gone { b"1" } else { b"0" },
            ],
        );
        let Value::Array(fields) = self.call(&batch).await?.next()? else { return Ok(()) };
        self.neighbours.unfinished = true;
        let mut batch = Batch::new();
        tokens::end(&self.config.keys, session, &mut batch);
        self.call(&batch).await?.skip(batch.len())?;
        let fields = pairs(Value::Array(fields))?;
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
        let places: Vec<Place> = serde_json::from_str(field("lists")).unwrap_or_default();
        let page = Some(Path::new(field("page"))).filter(|page| is_page(page));
        let estate = Estate { started: page.and_then(started), mirrored: self.mirrored(session).await? };
        let mut found = 0;
        for place in &places {
            found += self.bring_back(session, place, &estate, renewal).await?;
        }
        if let Some(page) = page {
            remove_page(page);
        }
        if found == 0 {
            let is_over = fields.is_empty() || field("visited") == "1";
            self.visited(session, is_over).await?;
        }
        Ok(())
    }

    /// Notes that nothing was found of a dead session. Found empty on a later visit, it is over; until then its last
    /// command might still have taken something.
    async fn visited(&mut self, session: &str, is_over: bool) -> Result<()> {
        let (reaping, dead) = (self.config.keys.key("fastq:reaping"), self.config.keys.dead_worker(session));
        let mut batch = Batch::new();
        if is_over {
            batch.add(&[b"ZREM", reaping.as_bytes(), session.as_bytes()]);
            batch.add(&[b"DEL", dead.as_bytes(), self.config.keys.mirrored(session).as_bytes()]);
        } else {
            batch.add(&[b"HSET", dead.as_bytes(), b"visited", b"1"]);
        }
        self.call(&batch).await?.skip(batch.len())
    }

    /// Puts back what one dead session took from one list; how much that was.
    async fn bring_back(
        &mut self,
        session: &str,
        place: &Place,
        estate: &Estate,
        renewal: &mut Renewal,
    ) -> Result<usize> {
        let (held, list) = {
            let keys = &self.config.keys;
            (keys.in_flight(&place.list, session), keys.key(&place.list))
        };
        let mut batch = Batch::new();
        batch.add(&[b"LRANGE", held.as_bytes(), b"0", b"-1"]);
        let elements = array(self.call(&batch).await?.next()?)?;
        if elements.is_empty() {
            return Ok(0);
        }
        let mut batch = Batch::new();
        batch.add(&[b"MULTI"]);
        let mut count = 0;
        // The newest first, so that the oldest is served next.
        for element in elements.into_iter().rev() {
            let raw = Bytes::from(wire::bytes(element)?.unwrap_or_default());
            if !raw.is_empty() {
                count += 1;
                self.put_back(place, &list, &raw, estate, &mut batch, renewal)?;
            }
        }
        batch.add(&[b"DEL", held.as_bytes()]);
        self.remove_mirrored(session, &estate.mirrored, &mut batch);
        batch.add(&[b"EXEC"]);
        self.send_alone(&batch).await?;
        Ok(count)
    }

    /// Sends a transaction of its own, and watches the session's hash again: every transaction ends that.
    pub(super) async fn send_alone(&mut self, batch: &Batch) -> Result<()> {
        let mut replies = self.call(batch).await?;
        wire::committed(&mut replies, batch.len())?;
        let mut batch = Batch::new();
        self.lease.watch(&mut batch);
        let mut replies = self.call(&batch).await?;
        Lease::renewed(&mut replies)
    }

    /// Adds the commands for one message of a dead worker: back into its list, or set aside when it was running and
    /// that happens too often.
    fn put_back(
        &self,
        place: &Place,
        list: &str,
        raw: &Bytes,
        estate: &Estate,
        batch: &mut Batch,
        renewal: &mut Renewal,
    ) -> Result<()> {
        let opened = open(raw).ok();
        let tag = tag_of(opened.as_ref().map_or("", |opened| &opened.delivery_tag), raw);
        if estate.mirrored.is_restored(tag) {
            return Ok(());
        }
        let was_running = estate.started.as_ref().is_some_and(|started| started.contains(&tag));
        let deaths = opened.as_ref().map_or(0, |opened| opened.deaths);
        if was_running && deaths + 1 >= self.lease.max_deaths {
            renewal.buried += 1;
            return self.bury(place, raw, opened.as_ref(), deaths + 1, batch);
        }
        renewal.recovered += 1;
        // Each of the others may have run: one that had ended is in no slot any more, and its Commit was never made. But a
        // death is counted only for those that are known to have been running: a good message must not be set aside for
        // the neighbours it had.
        let again = readdress(raw, true, deaths + u32::from(was_running));
        batch.add(&[b"RPUSH", list.as_bytes(), &again]);
        Ok(())
    }

    fn bury(
        &self,
        place: &Place,
        raw: &Bytes,
        opened: Option<&Opened>,
        deaths: u32,
        batch: &mut Batch,
    ) -> Result<()> {
        let now = self.now();
        let reason =
            format!("{deaths} workers died running it (task_max_deaths = {})", self.lease.max_deaths);
        let letter = dead::letter(raw, place.step, &reason, deaths, now);
        batch.add(&[b"LPUSH", self.config.keys.dead(&place.queue).as_bytes(), &letter]);
        let Some(message) = opened.map(|opened| &opened.message) else { return Ok(()) };
        let exception = Exception::worker_lost(&reason);
        if let Some(part) = part_of(message, "FAILURE", &exception) {
            let (expires, internal) = (self.lease.chord_expires, self.lease.internal.as_str());
            chords::released(&self.config, &[&part], expires, now, internal, batch)?;
        }
        let headers = Headers::parse(&message.headers).unwrap_or_default();
        if let Some(task_id) = headers.id.filter(|_| headers.ignore_result != Some(true)) {
            let failure = Record::of_exception(&task_id, "FAILURE", &exception, now);
            write(&self.config.results, &failure, self.lease.result_expires, batch)?;
        }
        Ok(())
    }
}

/// A moment as the score of a set.
fn moment(score: &str) -> Option<WallTime> {
    score.parse::<f64>().ok().map(|score| WallTime(score as i64))
}

/// The messages that children of a dead worker had started, from its slot page (see [`crate::pool::page`]). `None` when
/// that is not known, because a child ran several at the same time.
fn started(page: &Path) -> Option<HashSet<u64>> {
    let bytes = std::fs::read(page).ok()?;
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_ne_bytes)).collect();
    let slots = words.chunks_exact(WORDS_PER_SLOT);
    if slots.clone().any(|slot| slot[PERMITS] > 1) {
        return None;
    }
    Some(
        slots
            .filter(|slot| page::started(slot[CLAIM]) != 0 && slot[TAG] != 0)
            .map(|slot| slot[TAG])
            .collect(),
    )
}
