//! Who waits for which results, and what has come for them. Pure.

use std::collections::{HashMap, HashSet};

/// Waiting calls by number. Keys are those of results, which are also the channels where they are announced.
#[derive(Default)]
pub(super) struct Tickets {
    last: u64,
    calls: HashMap<u64, Ticket>,
    by_key: HashMap<String, Vec<u64>>,
    /// Channels the server has said it will send.
    confirmed: HashSet<String>,
    /// Channels to ask for, and to give up.
    wanted: HashSet<String>,
    unwanted: HashSet<String>,
}

#[derive(Default)]
struct Ticket {
    keys: HashSet<String>,
    /// Keys that were not read since the server sends what is announced for them: what came before was not heard.
    unread: HashSet<String>,
    /// Those of them that the server sends now.
    readable: Vec<String>,
    came: Vec<(String, Vec<u8>)>,
}

/// What a waiting call should do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These have come: key and document.
    Came(Vec<(String, Vec<u8>)>),
    /// These are listened for now: read them once, for what came before.
    Look(Vec<String>),
    /// Wait.
    Wait,
}

impl Tickets {
    /// Begins to wait, for nothing yet.
    pub(super) fn enter(&mut self) -> u64 {
        self.last += 1;
        self.calls.insert(self.last, Ticket::default());
        self.last
    }

    /// Waits for some keys, too.
    pub(super) fn add(&mut self, ticket: u64, keys: impl Iterator<Item = String>) {
        let Some(found) = self.calls.get_mut(&ticket) else { return };
        for key in keys {
            if !found.keys.insert(key.clone()) {
                continue;
            }
            self.by_key.entry(key.clone()).or_default().push(ticket);
            self.unwanted.remove(&key);
            found.unread.insert(key.clone());
            if self.confirmed.contains(&key) {
                found.readable.push(key);
            } else {
                self.wanted.insert(key);
            }
        }
    }

    /// Waits for some keys no more.
    pub(super) fn remove(&mut self, ticket: u64, keys: impl Iterator<Item = String>) {
        for key in keys {
            let Some(found) = self.calls.get_mut(&ticket) else { return };
            if found.keys.remove(&key) {
                found.unread.remove(&key);
                found.came.retain(|(came, _)| *came != key);
                self.give_up(ticket, key);
            }
        }
    }

    /// Ends waiting.
    pub(super) fn leave(&mut self, ticket: u64) {
        for key in self.calls.remove(&ticket).map(|ticket| ticket.keys).unwrap_or_default() {
            self.give_up(ticket, key);
        }
    }

    fn give_up(&mut self, ticket: u64, key: String) {
        let Some(waiters) = self.by_key.get_mut(&key) else { return };
        waiters.retain(|waiter| *waiter != ticket);
        if waiters.is_empty() {
            self.by_key.remove(&key);
            self.wanted.remove(&key);
            self.unwanted.insert(key);
        }
    }

    /// What a call should do.
    pub(super) fn next(&mut self, ticket: u64) -> Next {
        let Some(found) = self.calls.get_mut(&ticket) else { return Next::Wait };
        if !found.came.is_empty() {
            return Next::Came(std::mem::take(&mut found.came));
        }
        let mut readable = std::mem::take(&mut found.readable);
        readable.retain(|key| found.unread.remove(key));
        if readable.is_empty() { Next::Wait } else { Next::Look(readable) }
    }

    /// Whether [`Tickets::next`] would say anything but wait.
    pub(super) fn has_news(&self, ticket: u64) -> bool {
        self.calls.get(&ticket).is_none_or(|found| !found.came.is_empty() || !found.readable.is_empty())
    }

    /// Reading these failed: they are to be read again.
    pub(super) fn look_again(&mut self, ticket: u64, keys: Vec<String>) {
        let Some(found) = self.calls.get_mut(&ticket) else { return };
        for key in keys.into_iter().filter(|key| found.keys.contains(key)) {
            found.unread.insert(key.clone());
            found.readable.push(key);
        }
    }

    /// The channels to ask the server for and to give up.
    pub(super) fn changes(&mut self) -> (Vec<String>, Vec<String>) {
        let confirmed = &mut self.confirmed;
        let unwanted = self.unwanted.drain().filter(|key| confirmed.remove(key)).collect();
        (self.wanted.drain().collect(), unwanted)
    }

    /// Whether there is something to tell the server.
    pub(super) fn has_changes(&self) -> bool {
        !self.wanted.is_empty() || !self.unwanted.is_empty()
    }

    /// The server will send what is announced there.
    pub(super) fn confirm(&mut self, key: &str) {
        self.confirmed.insert(key.to_owned());
        let Some(waiters) = self.by_key.get(key) else {
            // Given up before the answer came.
            self.unwanted.insert(key.to_owned());
            return;
        };
        for waiter in waiters {
            if let Some(ticket) = self.calls.get_mut(waiter).filter(|ticket| ticket.unread.contains(key)) {
                ticket.readable.push(key.to_owned());
            }
        }
    }

    /// A document was announced.
    pub(super) fn announce(&mut self, key: &str, document: &[u8]) {
        for waiter in self.by_key.get(key).into_iter().flatten() {
            if let Some(ticket) = self.calls.get_mut(waiter) {
                ticket.came.push((key.to_owned(), document.to_vec()));
            }
        }
    }

    /// The connection is gone: everything is to be asked for again, and read again.
    pub(super) fn disconnect(&mut self) {
        self.confirmed.clear();
        self.unwanted.clear();
        self.wanted = self.by_key.keys().cloned().collect();
        for ticket in self.calls.values_mut() {
            ticket.unread.clone_from(&ticket.keys);
            ticket.readable.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> impl Iterator<Item = String> {
        names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into_iter()
    }

    fn entered(tickets: &mut Tickets, names: &[&str]) -> u64 {
        let ticket = tickets.enter();
        tickets.add(ticket, keys(names));
        ticket
    }

    fn changes(tickets: &mut Tickets) -> (Vec<String>, Vec<String>) {
        let (mut wanted, mut unwanted) = tickets.changes();
        wanted.sort_unstable();
        unwanted.sort_unstable();
        (wanted, unwanted)
    }

    fn list(names: &[&str]) -> Vec<String> {
        keys(names).collect()
    }

    #[test]
    fn a_call_looks_once_at_what_is_listened_for_and_gets_what_comes_after() {
        let mut tickets = Tickets::default();
        let ticket = entered(&mut tickets, &["a", "b", "a"]);
        assert_eq!(changes(&mut tickets), (list(&["a", "b"]), list(&[])));
        assert_eq!(tickets.next(ticket), Next::Wait);
        tickets.confirm("a");
        tickets.confirm("b");
        assert!(tickets.has_news(ticket));
        assert_eq!(tickets.next(ticket), Next::Look(list(&["a", "b"])));
        assert_eq!(tickets.next(ticket), Next::Wait);
        tickets.announce("b", b"x");
        tickets.announce("c", b"y");
        assert_eq!(tickets.next(ticket), Next::Came(vec![("b".into(), b"x".to_vec())]));
    }

    #[test]
    fn keys_that_are_added_are_looked_at_alone() {
        let mut tickets = Tickets::default();
        let (first, other) = (entered(&mut tickets, &["a"]), entered(&mut tickets, &["b"]));
        tickets.changes();
        tickets.confirm("a");
        tickets.confirm("b");
        assert_eq!(tickets.next(first), Next::Look(list(&["a"])));
        tickets.add(first, keys(&["a", "b", "c"]));
        assert_eq!(changes(&mut tickets), (list(&["c"]), list(&[])));
        assert_eq!(tickets.next(first), Next::Look(list(&["b"])));
        tickets.confirm("c");
        assert_eq!(tickets.next(first), Next::Look(list(&["c"])));
        assert_eq!(tickets.next(other), Next::Look(list(&["b"])));
    }

    #[test]
    fn what_could_not_be_read_is_looked_at_again() {
        let mut tickets = Tickets::default();
        let ticket = entered(&mut tickets, &["a"]);
        tickets.confirm("a");
        let Next::Look(looked) = tickets.next(ticket) else { panic!() };
        tickets.look_again(ticket, looked);
        assert_eq!(tickets.next(ticket), Next::Look(list(&["a"])));
    }

    #[test]
    fn a_key_is_given_up_when_the_last_call_has_left() {
        let mut tickets = Tickets::default();
        let (first, second) = (entered(&mut tickets, &["a"]), entered(&mut tickets, &["a"]));
        tickets.changes();
        tickets.confirm("a");
        tickets.leave(first);
        assert!(!tickets.has_changes());
        tickets.remove(second, keys(&["a", "b"]));
        assert_eq!(changes(&mut tickets), (list(&[]), list(&["a"])));
        let third = entered(&mut tickets, &["a"]);
        assert_eq!(changes(&mut tickets), (list(&["a"]), list(&[])));
        tickets.leave(third);
        assert_eq!(changes(&mut tickets), (list(&[]), list(&[])));
        tickets.confirm("a");
        assert_eq!(changes(&mut tickets), (list(&[]), list(&["a"])));
    }

    #[test]
    fn what_was_given_up_and_is_wanted_again_in_time_is_kept() {
        let mut tickets = Tickets::default();
        let first = entered(&mut tickets, &["a"]);
        tickets.changes();
        tickets.confirm("a");
        tickets.leave(first);
        let second = entered(&mut tickets, &["a"]);
        assert!(!tickets.has_changes());
        assert_eq!(tickets.next(second), Next::Look(list(&["a"])));
    }

    #[test]
    fn after_a_lost_connection_everything_is_asked_for_and_read_again() {
        let mut tickets = Tickets::default();
        let ticket = entered(&mut tickets, &["a"]);
        tickets.changes();
        tickets.confirm("a");
        assert_eq!(tickets.next(ticket), Next::Look(list(&["a"])));
        tickets.disconnect();
        assert_eq!(tickets.next(ticket), Next::Wait);
        assert_eq!(changes(&mut tickets).0, list(&["a"]));
        tickets.confirm("a");
        assert_eq!(tickets.next(ticket), Next::Look(list(&["a"])));
    }
}
