//! What Python may tell the running core.

use std::os::unix::net::UnixStream;

use super::config::StopHow;
use crate::event::EventKind;
use crate::ident::SlotId;

/// One order from Python.
#[derive(Debug)]
pub enum Command {
    /// Stop.
    Stop(StopHow),
    /// A slot in this process; the executor has the other end.
    Adopt(SlotId, UnixStream),
    /// Tell Events of these kinds, too.
    Watch(Vec<EventKind>),
}
