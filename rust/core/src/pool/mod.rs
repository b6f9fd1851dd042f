//! Where jobs run: slots, the pipe to them, and the page shared with them.

pub mod frame;
pub mod link;
pub mod nursery;
mod outgoing;
pub mod page;
pub mod port;
pub mod slot;
