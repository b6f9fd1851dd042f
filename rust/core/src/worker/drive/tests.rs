//! Turns of the loop, heard by hand: the nursery and its children are this test.

use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::*;
use crate::consumer::credit::Prefetch;
use crate::ident::Tag;
use crate::pool::frame::tests::job;
use crate::pool::frame::{self, JobFrame, Kind};
use crate::pool::nursery::Nursery;
use crate::pool::port::tests::Words;

const SLOT: SlotId = SlotId(0);
/// Where successors are made.
const SPARE: SlotId = SlotId(1);
/// The child in that slot, those in others by as much less. No process has it: the kernel gives no number so high.
const PID: u32 = i32::MAX as u32;
const LIMIT: Duration = Duration::from_secs(10);

/// A loop over one slot, with its ears and what it orders of the consumer.
struct Bench {
    drive: Drive,
    ears: Ears,
    nursery: UnixStream,
    /// Ends that must stay open.
    _others: (mpsc::UnboundedReceiver<Order>, mpsc::UnboundedSender<Command>, mpsc::UnboundedSender<News>),
}

/// The other end of a child's socket.
struct ChildEnd {
    socket: UnixStream,
    buffer: BytesMut,
}

fn bench() -> Bench {
    let (ours, nursery) = UnixStream::pair().unwrap();
    nursery.set_read_timeout(Some(LIMIT)).unwrap();
    let page = std::fs::File::open("/dev/null").unwrap();
    let (orders, ordered) = mpsc::unbounded_channel();
    let (commanding, commands) = mpsc::unbounded_channel();
    let (newsagent, news) = mpsc::unbounded_channel();
    let (link_events, links) = mpsc::unbounded_channel();
    let (nursery_events, nursery_heard) = mpsc::unbounded_channel();
    let children = Nursery::new(ours.into(), page.into(), nursery_events).unwrap();
    let drive = Drive {
        control: Control { node: "fastq@test".into(), keep: Duration::from_secs(3600) },
        clock: Clock::system(),
        machine: Machine::new(Prefetch::Auto, true),
        pool: Pool::new(Words::new(), Some(children), None, link_events),
        policies: Policies::new([]),
        orders,
        tell: Tell::new().unwrap(),
        stats: Arc::default(),
        stop: Stop::new(None, Duration::ZERO),
        children: 1,
        succession: Succession::new(2),
        scale: None,
        queues: String::new(),
        free_slots: FreeSlots::default(),
        opened: None,
        desk: Desk::default(),
    };
    let ears = Ears { commands, links, nursery: nursery_heard, news };
    Bench { drive, ears, nursery, _others: (ordered, commanding, newsagent) }
}

impl Bench {
    /// Takes the nursery's next demand and tells of the birth.
    fn give_birth(&mut self) -> ChildEnd {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut record = [0; 16];
        recvmsg(&self.nursery, &mut [IoSliceMut::new(&mut record)], &mut ancillary, RecvFlags::empty())
            .unwrap();
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        let socket = UnixStream::from(descriptors.remove(0));
        socket.set_nonblocking(true).unwrap();
        let slot = u32::from_le_bytes(*record[4..].first_chunk().unwrap());
        self.tell_nursery([1, slot, PID - slot, 0]);
        ChildEnd { socket, buffer: BytesMut::new() }
    }

    fn tell_nursery(&mut self, words: [u32; 4]) {
        let record: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.nursery.write_all(&record).unwrap();
    }

    /// Waits for the next thing to hear.
    async fn hear(&mut self) -> Heard {
        tokio::time::timeout(LIMIT, self.drive.listen(&mut self.ears)).await.unwrap()
    }

    /// Turns until a fact holds.
    async fn turn_until(&mut self, fact: impl Fn(&Drive) -> bool) {
        self.drive.turn();
        while !fact(&self.drive) {
            let heard = self.hear().await;
            self.drive.take_in(heard);
            self.drive.turn();
        }
    }

    async fn ready_child(&mut self) -> ChildEnd {
        let mut child = self.give_birth();
        child.say(Kind::Hello);
        self.turn_until(|drive| drive.machine.is_hungry() && drive.pool.pid(SLOT).is_some()).await;
        child
    }

    fn arrive(&mut self, tag: u64) {
        self.drive.desk.inputs.push_back(Input::Arrived(Box::new(job(tag, "shop.add", b"[]"))));
    }

    /// No bug was told of.
    fn is_well(&self) -> bool {
        let events = self.drive.tell.take(Duration::ZERO);
        events.iter().all(|event| event.kind != EventKind::Bug)
    }
}

impl ChildEnd {
    fn say(&mut self, kind: Kind) {
        let mut out = BytesMut::new();
        frame::encode_bare(&mut out, kind, Tag(0));
        self.socket.write_all(&out).unwrap();
    }

    /// The jobs that have come, after everything that is to be done has been.
    async fn jobs(&mut self) -> Vec<(u64, u64)> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let mut jobs = Vec::new();
        while let Some(frame) = frame::take(&mut self.buffer).unwrap() {
            let job = JobFrame::parse(frame.tag, frame.payload).unwrap();
            jobs.push((job.seq, job.tag.0));
        }
        jobs
    }
}

#[tokio::test]
async fn a_job_heard_of_before_a_death_is_not_sent_to_the_successor_twice() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let child = bench.ready_child().await;
    // All of it in one turn: a job arrives, the child is gone, its successor is due.
    bench.arrive(7);
    drop(child);
    bench.tell_nursery([2, SLOT.0, PID, 9]);
    while bench.drive.pool.pid(SLOT).is_some() {
        let heard = bench.hear().await;
        bench.drive.take_in(heard);
    }
    bench.drive.turn();
    let mut successor = bench.give_birth();
    assert_eq!(successor.jobs().await, [], "it has not said hello");
    successor.say(Kind::Hello);
    bench.turn_until(|drive| drive.machine.counts()[3] == 1).await;
    assert_eq!(successor.jobs().await, [(1, 7)]);
    assert!(bench.is_well());
}

#[tokio::test]
async fn a_job_of_a_dead_child_goes_to_its_successor_though_a_grandchild_keeps_the_pipe() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let mut kept_by_a_grandchild = bench.ready_child().await;
    bench.arrive(7);
    bench.drive.turn();
    assert_eq!(kept_by_a_grandchild.jobs().await, [(1, 7)]);
    let died_at = bench.drive.clock.now();
    bench.tell_nursery([2, SLOT.0, PID, 9]);
    bench.turn_until(|drive| drive.pool.pid(SLOT).is_none()).await;
    assert_eq!(
        bench.drive.pool.next_wake().map(|at| at.since(died_at) > Duration::from_secs(50)),
        Some(true)
    );
    let mut successor = bench.give_birth();
    successor.say(Kind::Hello);
    bench.turn_until(|drive| drive.machine.counts()[3] == 1).await;
    assert_eq!(successor.jobs().await, [(1, 7)]);
    assert!(bench.is_well());
}

#[tokio::test]
async fn what_a_child_has_not_begun_when_its_pipe_ends_waits_for_nobody() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let child = bench.ready_child().await;
    bench.arrive(7);
    bench.drive.turn();
    drop(child);
    bench.turn_until(|drive| drive.machine.counts()[1] == 1).await;
    assert_eq!(bench.drive.machine.counts()[3], 0);
    assert!(bench.drive.pool.pid(SLOT).is_some(), "its process may still be there");
    assert!(bench.is_well());
}

#[tokio::test]
async fn what_is_heard_of_an_executor_that_was_given_up_is_not_heeded() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let _child = bench.ready_child().await;
    let late = SeatId { slot: SLOT, number: 0 };
    bench.drive.take_in(Heard::Link(late, vec![LinkEvent::Bye, LinkEvent::Gone(None)]));
    bench.drive.turn();
    assert!(bench.drive.machine.is_hungry() && bench.drive.pool.link(SLOT).is_some());
}

impl Bench {
    /// The child says that it will leave before long; its successor, which is ready.
    async fn successor_of(&mut self, child: &mut ChildEnd) -> ChildEnd {
        child.say(Kind::Soon);
        self.turn_until(|drive| drive.succession.stands_by(SPARE)).await;
        let mut successor = self.give_birth();
        successor.say(Kind::Hello);
        self.turn_until(|drive| drive.pool.is_ready(SPARE) && drive.pool.pid(SPARE).is_some()).await;
        successor
    }
}

#[tokio::test]
async fn a_child_that_leaves_is_followed_at_once_by_the_one_that_stands_by() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let mut child = bench.ready_child().await;
    let mut successor = bench.successor_of(&mut child).await;
    bench.arrive(7);
    bench.arrive(8);
    bench.drive.turn();
    assert_eq!(child.jobs().await, [(1, 7)]);
    assert_eq!(successor.jobs().await, [], "it stands by");
    child.say(Kind::Bye);
    bench.turn_until(|drive| !drive.succession.stands_by(SPARE)).await;
    assert_eq!(successor.jobs().await, [(1, 7)], "what was not begun is not waited for");
    assert!(bench.drive.pool.pid(SLOT).is_some(), "its process may still be there");
    bench.tell_nursery([2, SLOT.0, PID, 0]);
    bench.turn_until(|drive| drive.pool.pid(SLOT).is_none()).await;
    assert!(bench.drive.pool.is_vacant(SLOT), "nobody else follows it");
    assert!(bench.is_well());
}

#[tokio::test]
async fn a_child_that_dies_is_followed_by_the_one_that_stands_by_for_it() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let mut child = bench.ready_child().await;
    let mut successor = bench.successor_of(&mut child).await;
    bench.arrive(7);
    bench.drive.turn();
    drop(child);
    bench.tell_nursery([2, SLOT.0, PID, 9]);
    bench.turn_until(|drive| drive.pool.pid(SLOT).is_none()).await;
    assert_eq!(successor.jobs().await, [(1, 7)]);
    assert!(bench.is_well());
}

#[tokio::test]
async fn a_successor_that_dies_while_it_stands_by_takes_nothing_along_and_is_made_again() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let mut child = bench.ready_child().await;
    let first = bench.successor_of(&mut child).await;
    drop(first);
    bench.tell_nursery([2, SPARE.0, PID - SPARE.0, 9]);
    bench.turn_until(|drive| !drive.pool.is_ready(SPARE)).await;
    bench.arrive(7);
    bench.drive.turn();
    assert_eq!(child.jobs().await, [(1, 7)]);
    let mut second = bench.give_birth();
    second.say(Kind::Hello);
    child.say(Kind::Bye);
    bench.turn_until(|drive| drive.pool.is_ready(SPARE) && !drive.succession.stands_by(SPARE)).await;
    assert_eq!(second.jobs().await, [(1, 7)]);
    assert!(bench.is_well());
}

#[tokio::test]
async fn a_child_that_leaves_without_a_word_before_is_followed_where_there_is_room() {
    let mut bench = bench();
    bench.drive.spawn(SLOT, None);
    let mut child = bench.ready_child().await;
    child.say(Kind::Bye);
    bench.turn_until(|drive| !drive.pool.is_vacant(SPARE)).await;
    let mut successor = bench.give_birth();
    successor.say(Kind::Hello);
    bench.turn_until(|drive| drive.machine.is_hungry()).await;
    bench.arrive(7);
    bench.drive.turn();
    assert_eq!(successor.jobs().await, [(1, 7)]);
    assert!(bench.is_well());
}
