//! Who waits for which results, and what has come for them. Pure.

use std::collections::{HashMap, HashSet};

/// Waiting calls by number. Keys are those of results, which are also the channels where they are announced.
#[derive(Default)]
pub(super) struct Tickets {
    last: u64,
    tickets: HashMap<u64, Ticket>,
    by_key: HashMap<String, Vec<u64>>,
    /// Channels the server has said it will send.
    confirmed: HashSet<String>,
    /// Channels to ask for, and to give up.
    wanted: Vec<String>,
    unwanted: Vec<String>,
    /// Counts connections: what was announced between two of them was not heard.
    connections: u64,
}

struct Ticket {
    keys: Vec<String>,
    came: Vec<(String, Vec<u8>)>,
    /// The connection over which all keys were confirmed when the results were last read.
    looked: Option<u64>,
}

/// What a waiting call should do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These have come: key and document.
    Came(Vec<(String, Vec<u8>)>),
    /// Everything is listened for now: read once, for what came before.
    Look,
    /// Wait.
    Wait,
}

impl Tickets {
    /// Begins to wait for some keys.
    pub(super) fn enter(&mut self, mut keys: Vec<String>) -> u64 {
        keys.sort_unstable();
        keys.dedup();
        self.last += 1;
        for key in &keys {
            self.by_key.entry(key.clone()).or_default().push(self.last);
            self.unwanted.retain(|unwanted| unwanted != key);
            if !self.confirmed.contains(key) && !self.wanted.contains(key) {
                self.wanted.push(key.clone());
            }
        }
        self.tickets.insert(self.last, Ticket { keys, came: Vec::new(), looked: None });
        self.last
    }

    /// Ends waiting.
    pub(super) fn leave(&mut self, ticket: u64) {
        for key in self.tickets.remove(&ticket).map(|ticket| ticket.keys).unwrap_or_default() {
            let Some(waiters) = self.by_key.get_mut(&key) else { continue };
            waiters.retain(|waiter| *waiter != ticket);
            if waiters.is_empty() {
                self.by_key.remove(&key);
                self.wanted.retain(|wanted| *wanted != key);
                self.unwanted.push(key);
            }
        }
    }

    /// What a call should do.
    pub(super) fn next(&mut self, ticket: u64) -> Next {
        let Some(found) = self.tickets.get_mut(&ticket) else { return Next::Wait };
        if !found.came.is_empty() {
            return Next::Came(std::mem::take(&mut found.came));
        }
        // What is announced from here on is heard, so one look now misses nothing.
        if found.looked != Some(self.connections) && found.keys.iter().all(|key| self.confirmed.contains(key))
        {
            found.looked = Some(self.connections);
            return Next::Look;
        }
        Next::Wait
    }

    /// Whether [`Tickets::next`] would say anything but wait.
    pub(super) fn has_news(&self, ticket: u64) -> bool {
        self.tickets.get(&ticket).is_none_or(|found| {
            !found.came.is_empty()
                || (found.looked != Some(self.connections)
                    && found.keys.iter().all(|key| self.confirmed.contains(key)))
        })
    }

    /// The channels to ask the server for and to give up.
    pub(super) fn changes(&mut self) -> (Vec<String>, Vec<String>) {
        let unwanted: Vec<String> =
            self.unwanted.drain(..).filter(|key| self.confirmed.remove(key)).collect();
        (std::mem::take(&mut self.wanted), unwanted)
    }

    /// Whether there is something to tell the server.
    pub(super) fn has_changes(&self) -> bool {
        !self.wanted.is_empty() || !self.unwanted.is_empty()
    }

    /// The server will send what is announced there.
    pub(super) fn confirm(&mut self, key: &str) {
        if self.by_key.contains_key(key) {
            self.confirmed.insert(key.to_owned());
        } else {
            // Given up before the answer came.
            self.confirmed.insert(key.to_owned());
            self.unwanted.push(key.to_owned());
        }
    }

    /// A document was announced.
    pub(super) fn announce(&mut self, key: &str, document: &[u8]) {
        for waiter in self.by_key.get(key).into_iter().flatten() {
            if let Some(ticket) = self.tickets.get_mut(waiter) {
                ticket.came.push((key.to_owned(), document.to_vec()));
            }
        }
    }

    /// The connection is gone: everything is to be asked for again, and read again.
    pub(super) fn disconnect(&mut self) {
        self.connections += 1;
        self.confirmed.clear();
        self.unwanted.clear();
        self.wanted = self.by_key.keys().cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_call_looks_once_when_all_its_keys_are_listened_for_and_gets_what_comes_after() {
        let mut tickets = Tickets::default();
        let ticket = tickets.enter(keys(&["a", "b", "a"]));
        assert_eq!(tickets.changes(), (keys(&["a", "b"]), keys(&[])));
        assert_eq!(tickets.next(ticket), Next::Wait);
        tickets.confirm("a");
        assert_eq!(tickets.next(ticket), Next::Wait);
        tickets.confirm("b");
        assert_eq!((tickets.next(ticket), tickets.next(ticket)), (Next::Look, Next::Wait));
        tickets.announce("b", b"x");
        tickets.announce("c", b"y");
        assert_eq!(tickets.next(ticket), Next::Came(vec![("b".into(), b"x".to_vec())]));
    }

    #[test]
    fn a_key_is_given_up_when_the_last_call_has_left() {
        let mut tickets = Tickets::default();
        let (first, second) = (tickets.enter(keys(&["a"])), tickets.enter(keys(&["a"])));
        tickets.changes();
        tickets.confirm("a");
        tickets.leave(first);
        assert!(!tickets.has_changes());
        tickets.leave(second);
        assert_eq!(tickets.changes(), (keys(&[]), keys(&["a"])));
        let third = tickets.enter(keys(&["a"]));
        assert_eq!(tickets.changes(), (keys(&["a"]), keys(&[])));
        tickets.leave(third);
        assert_eq!(tickets.changes(), (keys(&[]), keys(&[])));
        tickets.confirm("a");
        assert_eq!(tickets.changes(), (keys(&[]), keys(&["a"])));
    }

    #[test]
    fn after_a_lost_connection_everything_is_asked_for_and_read_again() {
        let mut tickets = Tickets::default();
        let ticket = tickets.enter(keys(&["a"]));
        tickets.changes();
        tickets.confirm("a");
        assert_eq!(tickets.next(ticket), Next::Look);
        tickets.disconnect();
        assert_eq!(tickets.next(ticket), Next::Wait);
        assert_eq!(tickets.changes().0, keys(&["a"]));
        tickets.confirm("a");
        assert_eq!(tickets.next(ticket), Next::Look);
    }
}
