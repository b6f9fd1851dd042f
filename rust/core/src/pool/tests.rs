//! The pool with a nursery that is this test, and children that only sleep.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use tokio::sync::mpsc;

use super::link::LinkEvent;
use super::port::tests::Words;
use super::*;

const SLOT: SlotId = SlotId(2);
const SECOND: u64 = 1_000_000_000;

type Heard = mpsc::UnboundedReceiver<(SeatId, Vec<LinkEvent>)>;

/// A pool, what its links tell, and the nursery's end of its socket: it must live as long as the pool.
fn pool() -> (Pool, Heard, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let page = std::fs::File::open("/dev/null").unwrap();
    let (events, _) = mpsc::unbounded_channel();
    let nursery = Nursery::new(ours.into(), page.into(), events).unwrap();
    let (events, heard) = mpsc::unbounded_channel();
    (Pool::new(Words::new(), Some(nursery), None, events), heard, theirs)
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap()
}

fn was_killed(mut child: Child) -> bool {
    child.wait().unwrap().signal() == Some(9)
}

#[tokio::test]
async fn what_is_told_late_of_a_child_does_not_hit_its_successor() {
    let (mut pool, _heard, _nursery) = pool();
    let (first, mut second) = (sleeper(), sleeper());
    pool.spawn(SLOT, Instant(0)).unwrap();
    assert_eq!(pool.pipe_ended(SLOT, Instant(0)), None, "the nursery may still tell of it");
    assert_eq!(pool.overdue(Instant(SECOND)).len(), 1);
    pool.spawn(SLOT, Instant(SECOND)).unwrap();
    let first_pid = first.id();
    assert!(!pool.born(SLOT, first_pid), "its seat is not there any more");
    assert!(was_killed(first));
    assert!(pool.born(SLOT, second.id()));
    assert_eq!(pool.reaped(first_pid, 9, Instant(SECOND)), None);
    assert_eq!(pool.pid(SLOT), Some(second.id()));
    assert!(pool.link(SLOT).is_some());
    second.kill().unwrap();
    second.wait().unwrap();
}

#[tokio::test]
async fn a_fork_that_failed_ends_its_own_seat_only() {
    let (mut pool, _heard, _nursery) = pool();
    pool.spawn(SLOT, Instant(0)).unwrap();
    assert_eq!(pool.pipe_ended(SLOT, Instant(0)), None);
    assert_eq!(pool.failed(SLOT), Some(Departure::of_nobody(SLOT)));
    pool.spawn(SLOT, Instant(0)).unwrap();
    assert_eq!(pool.failed(SlotId(3)), None);
    assert!(pool.link(SLOT).is_some());
}

#[tokio::test]
async fn a_child_that_is_to_be_killed_before_its_birth_is_told_is_killed_then() {
    let (mut pool, _heard, _nursery) = pool();
    let child = sleeper();
    pool.spawn(SLOT, Instant(0)).unwrap();
    pool.kill_all();
    assert!(pool.born(SLOT, child.id()));
    assert!(was_killed(child));
}

#[tokio::test]
async fn a_child_that_says_nothing_for_a_minute_is_killed_and_it_is_told_why() {
    let (mut pool, mut heard, _nursery) = pool();
    let child = sleeper();
    let pid = child.id();
    pool.spawn(SLOT, Instant(0)).unwrap();
    pool.born(SLOT, pid);
    assert_eq!(pool.next_wake(), Some(Instant(60 * SECOND)));
    assert!(pool.overdue(Instant(60 * SECOND)).is_empty(), "it departs when it was reaped");
    assert!(was_killed(child));
    assert_eq!(pool.next_wake(), None);
    assert_eq!(pool.reaped(pid, 9, Instant(61 * SECOND)), None);
    let (seat, events) = heard.recv().await.unwrap();
    assert!(pool.has(seat) && matches!(events[..], [LinkEvent::Gone(None)]), "{events:?}");
    let departure = pool.pipe_ended(SLOT, Instant(61 * SECOND)).unwrap();
    assert!(departure.reason().contains("not ready within a minute"), "{}", departure.reason());
    assert!(departure.is_of_its_start() && !pool.has(seat));
}

#[tokio::test]
async fn a_child_that_is_ready_may_be_silent_as_long_as_it_likes() {
    let (mut pool, _heard, _nursery) = pool();
    pool.spawn(SLOT, Instant(0)).unwrap();
    pool.greeted(SLOT);
    assert_eq!(pool.next_wake(), None);
}

#[tokio::test]
async fn closing_a_slot_is_told_once_until_it_is_opened_again() {
    let (mut pool, _heard, _nursery) = pool();
    assert_eq!(pool.close_page(SLOT), None, "nobody is there");
    let (ours, _theirs) = UnixStream::pair().unwrap();
    pool.adopt(SLOT, ours).unwrap();
    pool.open_page(SLOT, 3);
    assert_eq!((pool.close_page(SLOT), pool.close_page(SLOT)), (Some(3), None));
    pool.open_page(SLOT, 5);
    assert_eq!(pool.close_page(SLOT), Some(5));
    assert_eq!(pool.pipe_ended(SLOT, Instant(0)).unwrap().started, 5);
}
