//! The record of tasks that are called off. A session reads what is new in it with each exchange, so that a task which was
//! called off before it was sent does not run; between exchanges its ear is rung.

use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rusqlite::params;
use tokio::net::UnixDatagram;
use tokio::sync::oneshot;

use super::connection::Handle;
use super::session::heard;
use super::thread::Order;
use super::wake::{Bell, BellPlace};
use crate::broker::{BoxFuture, Ear, Said, Word};
use crate::buffer::revoked::MOST;
use crate::clock::WallTime;
use crate::error::Result;
use crate::ident;
use crate::job::revocation::Revocation;

/// How often to look at the file, in case a bell was not heard.
const LOOK: Duration = Duration::from_secs(2);

/// What is new in the record, and its last number.
pub(super) type News = (Vec<Revocation>, i64);

/// Writes some into the record, in place of the same ones; forgets what is over, and what is too many. Inside a
/// transaction.
pub(super) fn add(handle: &Handle, revocations: &[Revocation], now: WallTime) -> Result<()> {
    let connection = &handle.connection;
    connection.prepare_cached("DELETE FROM revoked WHERE expires <= ?1")?.execute([now.0])?;
    // In place of: with a number of its own, so that workers read it again.
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO revoked (demand, expires) VALUES (?1, ?2)")?;
    for revocation in revocations.iter().filter(|revocation| revocation.until > now) {
        insert.execute(params![revocation.to_json().to_string(), revocation.until.0])?;
    }
    let surplus = "DELETE FROM revoked WHERE id IN (
        SELECT id FROM revoked ORDER BY expires, id LIMIT max(0, (SELECT count(*) FROM revoked) - ?1))";
    connection.prepare_cached(surplus)?.execute([MOST as i64])?;
    Ok(())
}

/// What was written after the number `seen`, and holds now.
pub(super) fn after(handle: &Handle, seen: i64, now: WallTime) -> Result<News> {
    let mut select = handle
        .connection
        .prepare_cached("SELECT id, demand, expires FROM revoked WHERE id > ?1 ORDER BY id")?;
    let mut rows = select.query([seen])?;
    let (mut found, mut last) = (Vec::new(), seen);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        let demand = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        let until = WallTime(row.get(2)?);
        // What another version has written and this one does not know is none of its business.
        let revocation = demand.ok().and_then(|demand| Revocation::of_json(&demand, until).ok());
        found.extend(revocation.filter(|revocation| revocation.until > now));
    }
    Ok((found, last))
}

/// Hears what is written into the record of one file.
pub(super) struct SqliteEar {
    orders: Sender<Order>,
    bell: Option<UnixDatagram>,
    /// Takes the bell's name away with the ear.
    _place: Option<BellPlace>,
    seen: i64,
}

impl SqliteEar {
    /// An ear of the session that takes these orders.
    pub(super) fn new(orders: Sender<Order>, directory: &Path) -> Self {
        // Without a bell (an odd file system) it looks at the file instead.
        let bound = Bell::of_ear(directory, &ident::session_id()).ok();
        let (bell, place) = match bound.map(Bell::into_parts) {
            Some((socket, place)) => {
                let _ = socket.set_nonblocking(true);
                (UnixDatagram::from_std(socket).ok(), Some(place))
            }
            None => (None, None),
        };
        Self { orders, bell, _place: place, seen: 0 }
    }

    async fn look(&mut self) -> Result<Vec<Revocation>> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Revoked { seen: self.seen, answer }).map_err(|_| super::load::gone())?;
        let (found, last) = answered.await.map_err(|_| super::load::gone())??;
        self.seen = last;
        Ok(found)
    }
}

impl Ear for SqliteEar {
    fn next<'a>(&'a mut self) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            loop {
                match self.look().await {
                    Ok(found) if !found.is_empty() => return Said::Revoked(found),
                    Ok(_) => {}
                    Err(error) if error.is_temporary() => {}
                    // The session is over, and this ends with it.
                    Err(_) => std::future::pending().await,
                }
                tokio::select! {
                    () = heard(self.bell.as_ref()) => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        })
    }

    fn say<'a>(&'a mut self, word: Word) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Word::Keep(revocations) = word else { return Ok(()) }; // nobody sends remote commands here
            let (answer, answered) = oneshot::channel();
            self.orders.send(Order::Revoke { revocations, answer }).map_err(|_| super::load::gone())?;
            answered.await.map_err(|_| super::load::gone())?
        })
    }
}
