//! The nursery's socket against a hand-driven other end.

use std::io::{IoSliceMut, Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::*;

type Heard = mpsc::UnboundedReceiver<NurseryEvent>;

fn nursery() -> (Nursery, Heard, StdUnixStream) {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    let page = std::fs::File::open("/dev/null").unwrap();
    let (events, heard) = mpsc::unbounded_channel();
    (Nursery::new(ours.into(), page.into(), events).unwrap(), heard, theirs)
}

async fn hear(heard: &mut Heard) -> NurseryEvent {
    tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap()
}

fn record(words: [u32; 4]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[tokio::test]
async fn spawning_sends_the_slot_with_the_childs_socket_and_the_page() {
    let (nursery, _heard, other) = nursery();
    let mut ours = nursery.spawn(SlotId(5)).unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; RECORD_BYTES];
    recvmsg(&other, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::empty()).unwrap();
    assert_eq!(bytes[..], record([SPAWN, 5, 0, 0]));
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    assert_eq!(descriptors.len(), 2);
    let mut child = StdUnixStream::from(descriptors.remove(0));
    child.write_all(b"hello").unwrap();
    drop(child);
    let mut heard = String::new();
    ours.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello", "and then the end of file: nobody else holds the child's end");
}

#[tokio::test]
async fn births_and_deaths_are_told_however_the_records_are_cut() {
    let (_nursery, mut heard, mut other) = nursery();
    let mut records = record([BORN, 1, 4711, 0]);
    records.extend(record([GONE, 1, 4711, 9]));
    records.extend(record([FAILED, 2, 0, 11]));
    for piece in records.chunks(7) {
        other.write_all(piece).unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(hear(&mut heard).await, NurseryEvent::Born { slot: SlotId(1), pid: 4711 });
    assert_eq!(hear(&mut heard).await, NurseryEvent::Gone { slot: SlotId(1), pid: 4711, status: 9 });
    assert_eq!(hear(&mut heard).await, NurseryEvent::Failed { slot: SlotId(2), errno: 11 });
}

#[tokio::test]
async fn the_end_of_the_nursery_is_told_and_asking_it_is_an_error() {
    let (nursery, mut heard, other) = nursery();
    drop(other);
    assert_eq!(hear(&mut heard).await, NurseryEvent::Closed);
    assert_eq!(nursery.spawn(SlotId(0)).unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!(nursery.quit().unwrap_err().kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn quitting_sends_one_record() {
    let (nursery, _heard, mut other) = nursery();
    nursery.quit().unwrap();
    let mut bytes = [0; RECORD_BYTES];
    other.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[..], record([QUIT, 0, 0, 0]));
}
