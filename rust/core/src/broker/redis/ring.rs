//! What a session took from one list, as the server keeps it: the same elements in the same order. Pure.
//!
//! The server's list is trimmed from the left as far as everything is settled; what is settled further right becomes
//! an empty string in its place. When too many of those pile up behind one long task, they are all removed at once.

use std::collections::VecDeque;

use bytes::Bytes;

use super::wire::Batch;

/// So many empty places behind an unsettled element make it worth while to remove them.
const EMPTY_PLACES: usize = 64;

/// The elements of one list, the one taken first in front.
#[derive(Debug, Default)]
pub(super) struct Ring {
    elements: VecDeque<Element>,
    next: u64,
    /// Numbers of the elements that an exchange under way settles.
    settling: Vec<u64>,
    /// Elements that are settled and still have their place.
    empty: usize,
}

#[derive(Debug)]
struct Element {
    number: u64,
    state: State,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Held,
    Settling,
    Settled,
}

/// An unsettled element.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) tag: u64,
    /// As it lay in the list.
    pub(super) raw: Bytes,
    pub(super) deaths: u32,
    /// Its delivery tag, where kombu's records are kept beside ours.
    pub(super) name: Option<Box<str>>,
}

/// How the server's list changes when an exchange settles its elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    trimmed: usize,
    compacted: bool,
}

impl Ring {
    /// Adds what was taken last; its number.
    pub(super) fn push(&mut self, held: Held) -> u64 {
        self.add(State::Held, Some(held))
    }

    /// Adds an element that is an empty place already.
    pub(super) fn push_empty(&mut self) {
        self.add(State::Settled, None);
        self.empty += 1;
    }

    fn add(&mut self, state: State, held: Option<Held>) -> u64 {
        self.next += 1;
        self.elements.push_back(Element { number: self.next, state, held });
        self.next
    }

    /// The unsettled element of a number.
    pub(super) fn held(&self, number: u64) -> Option<&Held> {
        let element = self.elements.get(self.place(number)?)?;
        element.held.as_ref().filter(|_| element.state == State::Held)
    }

    /// The bytes of an element that is not settled for sure.
    pub(super) fn raw(&self, number: u64) -> Option<&Bytes> {
        self.elements.get(self.place(number)?)?.held.as_ref().map(|held| &held.raw)
    }

    /// All elements that are not settled for sure, in order.
    pub(super) fn all_held(&self) -> impl Iterator<Item = (u64, &Held)> {
        self.elements.iter().filter_map(|element| Some((element.number, element.held.as_ref()?)))
    }

    /// Settles an element with the exchange that is being prepared; false when it is not there or is settled.
    pub(super) fn settle(&mut self, number: u64) -> bool {
        let Some(place) = self.place(number) else { return false };
        let element = &mut self.elements[place];
        if element.state != State::Held {
            return false;
        }
        element.state = State::Settling;
        self.settling.push(number);
        true
    }

    /// Adds the commands that settle on the server.
    pub(super) fn commands(&self, key: &str, batch: &mut Batch) -> Change {
        if self.settling.is_empty() {
            return Change::default();
        }
        let trimmed = self.elements.iter().take_while(|element| element.state != State::Held).count();
        for number in &self.settling {
            let Some(place) = self.place(*number).filter(|place| *place >= trimmed) else { continue };
            batch.add(&[b"LSET", key.as_bytes(), place.to_string().as_bytes(), b""]);
        }
        if trimmed > 0 {
            batch.add(&[b"LTRIM", key.as_bytes(), trimmed.to_string().as_bytes(), b"-1"]);
        }
        let behind = (self.empty + self.settling.len()).saturating_sub(trimmed);
        let compacted = behind > EMPTY_PLACES && behind * 2 > self.elements.len() - trimmed;
        if compacted {
            batch.add(&[b"LREM", key.as_bytes(), b"0", b""]);
        }
        Change { trimmed, compacted }
    }

    /// The server has carried out the commands that made this change; gives the tags that are gone.
    pub(super) fn apply(&mut self, change: Change) -> Vec<u64> {
        let mut gone = Vec::with_capacity(self.settling.len());
        for number in std::mem::take(&mut self.settling) {
            let Some(place) = self.place(number) else { continue };
            let element = &mut self.elements[place];
            element.state = State::Settled;
            gone.extend(element.held.take().map(|held| held.tag));
            self.empty += 1;
        }
        self.elements.drain(..change.trimmed.min(self.elements.len()));
        self.empty = self.empty.saturating_sub(change.trimmed);
        if change.compacted {
            self.elements.retain(|element| element.state == State::Held);
            self.empty = 0;
        }
        gone
    }

    /// The exchange was not carried out.
    pub(super) fn unsettle(&mut self) {
        for number in std::mem::take(&mut self.settling) {
            if let Some(place) = self.place(number) {
                self.elements[place].state = State::Held;
            }
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        let first = self.elements.front()?.number;
        // Without removed places the number says where it is.
        let guess = usize::try_from(number.checked_sub(first)?).ok()?;
        if self.elements.get(guess).is_some_and(|element| element.number == number) {
            return Some(guess);
        }
        self.elements.binary_search_by_key(&number, |element| element.number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring and the server's list beside it.
    struct Pair {
        ring: Ring,
        list: Vec<String>,
        numbers: Vec<u64>,
    }

    impl Pair {
        fn of(count: usize) -> Self {
            let mut ring = Ring::default();
            let raws: Vec<String> = (0..count).map(|number| format!("m{number}")).collect();
            let numbers = raws.iter().enumerate().map(|(tag, raw)| {
                ring.push(Held { tag: tag as u64, raw: Bytes::from(raw.clone()), deaths: 0, name: None })
            });
            let numbers = numbers.collect();
            Self { ring, list: raws, numbers }
        }

        fn settle(&mut self, which: &[usize]) -> Vec<u64> {
            for number in which {
                assert!(self.ring.settle(self.numbers[*number]));
            }
            let mut batch = Batch::new();
            let change = self.ring.commands("p", &mut batch);
            for command in batch.pipeline().cmd_iter() {
                self.run(&String::from_utf8(command.get_packed_command()).unwrap());
            }
            let gone = self.ring.apply(change);
            let mine: Vec<String> = self
                .ring
                .elements
                .iter()
                .map(|element| {
                    element
                        .held
                        .as_ref()
                        .map_or(String::new(), |held| String::from_utf8(held.raw.to_vec()).unwrap())
                })
                .collect();
            assert_eq!(mine, self.list);
            assert_eq!(self.ring.empty, self.list.iter().filter(|element| element.is_empty()).count());
            gone
        }

        fn run(&mut self, command: &str) {
            let words: Vec<&str> = command.split("\r\n").skip(2).step_by(2).collect();
            match words[0] {
                "LSET" => self.list[words[2].parse::<usize>().unwrap()] = String::new(),
                "LTRIM" => drop(self.list.drain(..words[2].parse::<usize>().unwrap())),
                "LREM" => self.list.retain(|element| !element.is_empty()),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn the_list_is_trimmed_as_far_as_everything_is_settled() {
        let mut pair = Pair::of(5);
        assert_eq!(pair.settle(&[1, 3]), [1, 3]);
        assert_eq!(pair.list, ["m0", "", "m2", "", "m4"]);
        pair.settle(&[0]);
        assert_eq!(pair.list, ["m2", "", "m4"]);
        pair.settle(&[4, 2]);
        assert!(pair.list.is_empty());
    }

    #[test]
    fn empty_places_behind_a_long_task_are_removed_and_the_others_are_still_found() {
        let mut pair = Pair::of(200);
        pair.settle(&(1..65).collect::<Vec<_>>());
        assert_eq!(pair.list.len(), 200);
        pair.settle(&(65..150).collect::<Vec<_>>());
        assert_eq!(pair.list.len(), 51);
        pair.settle(&[199, 150]);
        pair.settle(&[0]);
        assert_eq!(pair.list.len(), 49, "the last one is behind others that are held");
        assert_eq!(pair.list[0], "m151");
    }

    #[test]
    fn what_was_not_carried_out_can_be_settled_again_and_what_was_cannot() {
        let mut pair = Pair::of(3);
        assert!(pair.ring.settle(pair.numbers[0]) && !pair.ring.settle(pair.numbers[0]));
        assert!(pair.ring.held(pair.numbers[0]).is_none());
        pair.ring.unsettle();
        pair.settle(&[0]);
        assert!(!pair.ring.settle(pair.numbers[0]) && !pair.ring.settle(99));
        assert_eq!(pair.ring.all_held().count(), 2);
    }
}
