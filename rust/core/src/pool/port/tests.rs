//! Port against a hand-driven parent's end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;

use super::super::frame::tests::job;
use super::super::frame::{self, Frame, Kind, OutcomeRef, RecordRef};
use super::super::page::{CLAIM, CLOSED, PAGE_BYTES, Page, SINCE, TAG};
use super::*;
use crate::job::ending::Ending;

/// The page as plain words of this process.
pub(crate) struct Words(Vec<AtomicU64>);

impl Words {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self((0..PAGE_BYTES / 8).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Page for Words {
    fn load(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::SeqCst)
    }
    fn store(&self, word: usize, value: u64) {
        self.0[word].store(value, Ordering::SeqCst);
    }
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> std::result::Result<u64, u64> {
        self.0[word].compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }
}

const DONE: OutcomeRef<'static> =
    OutcomeRef { ending: Ending::Done, records: &[], publications: &[], chords: None, reason: "" };

/// The parent's end, blocking.
struct Parent {
    socket: UnixStream,
    buffer: BytesMut,
    page: Arc<Words>,
}

fn pair() -> (Parent, Port) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let page = Words::new();
    let port = Port::new(theirs, page.clone(), SlotId(0));
    (Parent { socket: ours, buffer: BytesMut::new(), page }, port)
}

impl Parent {
    /// Sends jobs with these sequence numbers, tagged ten times as high, in one write.
    fn send(&mut self, numbers: std::ops::RangeInclusive<u64>) {
        let mut out = BytesMut::new();
        for seq in numbers {
            frame::encode_job(&mut out, seq, &job(seq * 10, "shop.add", b"[]")).unwrap();
        }
        self.socket.write_all(&out).unwrap();
    }

    /// The next frame; panics when none comes.
    fn hear(&mut self) -> Frame {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer).unwrap() {
                return frame;
            }
            let mut chunk = [0; 4096];
            let count = self.socket.read(&mut chunk).unwrap();
            assert_ne!(count, 0, "the port closed its end");
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    fn hears(&mut self, kinds: &[Kind]) {
        let heard: Vec<Kind> = kinds.iter().map(|_| self.hear().kind).collect();
        assert_eq!(heard, kinds);
    }

    /// Whether nothing has been sent to the parent that it has not heard.
    fn hears_nothing(&mut self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = matches!((&self.socket).read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        self.socket.set_nonblocking(false).unwrap();
        nothing && self.buffer.is_empty()
    }
}

fn run(port: &Port) -> Run {
    match port.next(Some(Duration::from_secs(10))).unwrap() {
        Next::Job(run) => run,
        other => panic!("no job but {other:?}"),
    }
}

fn nothing(port: &Port) {
    assert!(matches!(port.next(Some(Duration::ZERO)).unwrap(), Next::Nothing));
}

fn ended(port: &Port) {
    assert!(matches!(port.next(Some(Duration::from_secs(10))).unwrap(), Next::Ended));
}

#[test]
fn the_first_wait_says_hello_and_jobs_come_in_the_order_sent() {
    let (mut parent, port) = pair();
    nothing(&port);
    parent.hears(&[Kind::Hello]);
    parent.send(1..=3);
    for seq in 1..=3 {
        let run = run(&port);
        assert_eq!((run.job.seq, run.job.tag, run.job.name()), (seq, Tag(seq * 10), "shop.add"));
        assert_eq!((parent.page.load(CLAIM), parent.page.load(TAG)), (seq, seq * 10));
        assert_eq!(parent.page.load(SINCE), run.started);
    }
    nothing(&port);
}

#[test]
fn a_run_is_in_the_page_until_it_has_ended_and_no_longer() {
    let (mut parent, port) = pair();
    parent.send(1..=1);
    let run = run(&port);
    assert_eq!(parent.page.load(TAG), 10);
    let _ = port.finish(&run, &DONE).unwrap();
    assert!(parent.hears_nothing(), "the outcome is still gathered");
    assert_eq!((parent.page.load(CLAIM), parent.page.load(TAG)), (1, 0));
}

#[test]
fn a_job_that_the_parent_has_taken_back_is_dropped_and_the_parent_told() {
    let (mut parent, port) = pair();
    parent.send(1..=3);
    assert_eq!(run(&port).job.seq, 1);
    parent.page.store(CLAIM, 1 | CLOSED);
    nothing(&port);
    parent.hears(&[Kind::Hello, Kind::Dropped, Kind::Dropped]);
    parent.page.store(CLAIM, 3);
    parent.send(4..=4);
    assert_eq!(run(&port).job.seq, 4);
}

#[test]
fn outcomes_are_gathered_and_sent_before_the_next_wait() {
    let (mut parent, port) = pair();
    parent.send(1..=2);
    let first = run(&port);
    let _ = port.finish(&first, &DONE).unwrap();
    assert!(parent.hears_nothing());
    let second = run(&port);
    let _ = port.finish(&second, &DONE).unwrap();
    nothing(&port);
    parent.hears(&[Kind::Hello, Kind::Finished, Kind::Finished]);
}

#[test]
fn the_run_time_reaches_from_handing_out_to_finishing() {
    let (mut parent, port) = pair();
    parent.send(1..=1);
    let run = run(&port);
    let _ = port.finish(&run, &DONE).unwrap();
    let after = monotonic();
    port.flush().unwrap();
    parent.hears(&[Kind::Hello]);
    let outcome = frame::parse_finished(&parent.hear().payload).unwrap();
    assert!(outcome.runtime <= Duration::from_nanos(after - run.started));
}

#[test]
fn more_than_sixteen_outcomes_ask_to_be_sent() {
    let (mut parent, port) = pair();
    parent.send(1..=17);
    let runs: Vec<Run> = (0..17).map(|_| run(&port)).collect();
    port.flush().unwrap();
    let gathered: Vec<Gathered> = runs.iter().map(|run| port.finish(run, &DONE).unwrap()).collect();
    assert_eq!(gathered[16], Gathered::Enough);
}

#[test]
fn what_is_gathered_goes_out_while_the_next_job_runs() {
    let (mut parent, port) = pair();
    parent.send(1..=2);
    let first = run(&port);
    let _ = port.finish(&first, &DONE).unwrap();
    let _running = run(&port);
    // Nobody calls the port any more: its own thread must send.
    parent.hears(&[Kind::Hello, Kind::Finished]);
}

#[test]
fn a_start_that_matters_is_told_before_the_job_is_handed_out() {
    let (mut parent, port) = pair();
    let mut limited = job(10, "shop.add", b"[]");
    limited.time_limit = Some(Duration::from_secs(1));
    let mut out = BytesMut::new();
    frame::encode_job(&mut out, 1, &limited).unwrap();
    parent.socket.write_all(&out).unwrap();
    let run = run(&port);
    parent.hears(&[Kind::Hello]);
    let started = parent.hear();
    assert_eq!((started.kind, started.tag), (Kind::Started, run.job.tag));
}

#[test]
fn states_of_a_run_that_goes_on_are_stored() {
    let (mut parent, port) = pair();
    let record = RecordRef { task_id: "1", state: "STARTED", content_type: "application/json", body: b"{}" };
    assert_eq!(port.store(&[record]).unwrap(), Gathered::Enough);
    port.flush().unwrap();
    let frame = parent.hear();
    assert_eq!(frame.kind, Kind::Store);
    assert_eq!(frame::parse_store(&frame.payload).unwrap()[0].state, "STARTED");
}

#[test]
fn a_retired_slot_runs_what_it_was_sent_and_ends() {
    let (mut parent, port) = pair();
    parent.send(1..=1);
    let mut out = BytesMut::new();
    frame::encode_bare(&mut out, Kind::Retire, Tag(0));
    parent.socket.write_all(&out).unwrap();
    assert_eq!(run(&port).job.seq, 1);
    ended(&port);
    ended(&port);
}

#[test]
fn an_executor_that_retires_starts_nothing_more() {
    let (mut parent, port) = pair();
    parent.send(1..=2);
    let last = run(&port);
    let _ = port.finish(&last, &DONE).unwrap();
    port.retire().unwrap();
    ended(&port);
    assert_eq!(parent.page.load(CLAIM), 1);
    parent.hears(&[Kind::Hello, Kind::Finished, Kind::Bye]);
    assert!(parent.hears_nothing());
}

#[test]
fn the_end_of_the_parent_ends_the_port_and_is_no_fault() {
    let (mut parent, port) = pair();
    parent.send(1..=1);
    let run = run(&port);
    drop(parent);
    let _ = port.finish(&run, &DONE).unwrap();
    port.flush().unwrap();
    ended(&port);
}

#[test]
fn dropping_the_port_sends_what_is_gathered() {
    let (mut parent, port) = pair();
    parent.send(1..=1);
    let run = run(&port);
    let _ = port.finish(&run, &DONE).unwrap();
    drop(port);
    parent.hears(&[Kind::Hello, Kind::Finished]);
}

#[test]
fn nonsense_from_the_parent_is_an_error() {
    let (mut parent, port) = pair();
    parent.socket.write_all(&[1, 0, 0, 0, 0]).unwrap();
    assert_eq!(port.next(None).unwrap_err().kind(), ErrorKind::Decode);
}
