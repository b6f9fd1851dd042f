//! Link against a hand-driven executor's end, and against a Port.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use super::super::frame::tests::job;
use super::super::frame::{JobFrame, OutcomeRef};
use super::super::port::tests::Words;
use super::super::port::{Gathered, Next, Port};
use super::*;
use crate::ident::SlotId;
use crate::job::ending::Ending;

type Heard = mpsc::UnboundedReceiver<(SeatId, Vec<LinkEvent>)>;

const SEAT: SeatId = SeatId { slot: SlotId(3), number: 8 };

fn link() -> (LinkHandle, Heard, StdUnixStream) {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (events, heard) = mpsc::unbounded_channel();
    (spawn(SEAT, ours, events).unwrap(), heard, theirs)
}

async fn hear(heard: &mut Heard) -> Vec<LinkEvent> {
    let (seat, events) = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap();
    assert_eq!(seat, SEAT);
    events
}

fn bare(frames: &[(Kind, u64)]) -> BytesMut {
    let mut out = BytesMut::new();
    for (kind, tag) in frames {
        frame::encode_bare(&mut out, *kind, Tag(*tag));
    }
    out
}

#[tokio::test]
async fn frames_that_come_together_are_told_together() {
    let (_link, mut heard, mut executor) = link();
    executor.write_all(&bare(&[(Kind::Hello, 0), (Kind::Started, 7), (Kind::Bye, 0)])).unwrap();
    let events = hear(&mut heard).await;
    assert!(
        matches!(events[..], [LinkEvent::Hello, LinkEvent::Started(Tag(7)), LinkEvent::Bye]),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_frame_in_pieces_is_told_when_it_is_whole() {
    let (_link, mut heard, mut executor) = link();
    let frame = bare(&[(Kind::Started, 7)]);
    let (first, second) = frame.split_at(6);
    executor.write_all(first).unwrap();
    tokio::task::yield_now().await;
    executor.write_all(second).unwrap();
    assert!(matches!(hear(&mut heard).await[..], [LinkEvent::Started(Tag(7))]));
}

#[tokio::test]
async fn what_an_executor_said_before_its_end_comes_before_it() {
    let (_link, mut heard, mut executor) = link();
    executor.write_all(&bare(&[(Kind::Hello, 0)])).unwrap();
    drop(executor);
    let mut events = hear(&mut heard).await;
    if events.len() == 1 {
        events.extend(hear(&mut heard).await);
    }
    assert!(matches!(events[..], [LinkEvent::Hello, LinkEvent::Gone(None)]), "{events:?}");
    assert!(heard.recv().await.is_none(), "nothing follows");
}

#[tokio::test]
async fn a_dead_executor_is_told_of_after_its_last_words_though_its_pipe_is_still_open() {
    let (link, mut heard, mut executor) = link();
    executor.write_all(&bare(&[(Kind::Hello, 0), (Kind::Bye, 0)])).unwrap();
    let _kept_by_a_grandchild = executor;
    link.finish();
    let mut events = hear(&mut heard).await;
    while !matches!(events.last(), Some(LinkEvent::Gone(_))) {
        events.extend(hear(&mut heard).await);
    }
    assert!(matches!(events[..], [LinkEvent::Hello, LinkEvent::Bye, LinkEvent::Gone(None)]), "{events:?}");
}

#[tokio::test]
async fn a_dead_executor_is_told_of_though_it_did_not_read_what_was_sent_to_it() {
    let (link, mut heard, _kept_by_a_grandchild) = link();
    link.send_job(1, &job(1, "shop.add", &vec![7; 3_000_000])).unwrap();
    tokio::task::yield_now().await;
    link.finish();
    assert!(matches!(hear(&mut heard).await[..], [LinkEvent::Gone(None)]));
}

#[tokio::test]
async fn a_link_that_panics_ends_as_an_error() {
    let (ours, _theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (events, mut heard) = mpsc::unbounded_channel();
    let socket = UnixStream::from_std(ours).unwrap();
    let link = Link { seat: SEAT, socket, shared: Arc::default(), events, incoming: BytesMut::new() };
    let panicked = tokio::spawn(async move {
        let _link = link;
        panic!("a bug");
    });
    assert!(panicked.await.is_err());
    let events = hear(&mut heard).await;
    assert!(
        matches!(&events[..], [LinkEvent::Gone(Some(error))] if error.kind() == ErrorKind::Unexpected),
        "{events:?}"
    );
}

#[tokio::test]
async fn nonsense_ends_the_link_with_the_reason() {
    for nonsense in [&[0_u8; 13][..], &bare(&[(Kind::Retire, 0)])] {
        let (_link, mut heard, mut executor) = link();
        executor.write_all(nonsense).unwrap();
        let events = hear(&mut heard).await;
        assert!(
            matches!(&events[..], [LinkEvent::Gone(Some(error))] if error.kind() == ErrorKind::Decode),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn dropping_the_handle_closes_the_socket_and_tells_nothing() {
    let (link, mut heard, mut executor) = link();
    tokio::task::yield_now().await;
    drop(link);
    tokio::task::yield_now().await;
    assert_eq!(executor.read(&mut [0]).unwrap(), 0);
    assert!(heard.recv().await.is_none());
}

#[tokio::test]
async fn a_job_larger_than_every_buffer_crosses_whole() {
    let (link, _heard, mut executor) = link();
    let body = vec![7; 3_000_000];
    link.send_job(1, &job(1, "shop.add", &body)).unwrap();
    let reader = tokio::task::spawn_blocking(move || {
        let mut buffer = BytesMut::new();
        let mut chunk = vec![0; 100_000];
        loop {
            if let Some(frame) = frame::take(&mut buffer).unwrap() {
                return JobFrame::parse(frame.tag, frame.payload).unwrap();
            }
            let count = executor.read(&mut chunk).unwrap();
            buffer.extend_from_slice(&chunk[..count]);
        }
    });
    assert_eq!(reader.await.unwrap().body(), &body[..]);
}

#[tokio::test]
async fn ten_thousand_jobs_cross_a_port_and_each_is_finished_once() {
    const JOBS: u64 = 10_000;
    let (link, mut heard, executor) = link();
    let port = Port::new(executor, Words::new(), SlotId(0));
    let worker = thread::spawn(move || {
        let done =
            OutcomeRef { ending: Ending::Done, records: &[], publications: &[], chords: None, reason: "" };
        loop {
            match port.next(None).unwrap() {
                Next::Job(run) => {
                    if port.finish(&run, &done).unwrap() == Gathered::Enough {
                        port.flush().unwrap();
                    }
                }
                Next::Ended => return,
                Next::Nothing | Next::Interrupted => {}
            }
        }
    });
    for seq in 1..=JOBS {
        link.send_job(seq, &job(seq, "shop.add", b"[[1, 2], {}, {}]")).unwrap();
    }
    link.retire();
    let mut finished = Vec::new();
    'all: loop {
        for event in hear(&mut heard).await {
            match event {
                LinkEvent::Hello => {}
                LinkEvent::Finished(tag, outcome) => finished.push((tag.0, outcome.ending)),
                LinkEvent::Gone(None) => break 'all,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(finished, (1..=JOBS).map(|tag| (tag, Ending::Done)).collect::<Vec<_>>());
    worker.join().unwrap();
}
