//! The right to settle one Delivery, once.

use crate::ident::Tag;

/// Settles one Delivery. It cannot be cloned, and a Commit consumes it; `epoch` names the session that gave it,
/// so a Receipt outliving its session is refused instead of settling somebody else's delivery.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    tag: Tag,
    epoch: u64,
    spent: bool,
}

impl Receipt {
    /// A Receipt of the session `epoch`; for brokers.
    pub fn new(tag: Tag, epoch: u64) -> Self {
        Self { tag, epoch, spent: false }
    }

    /// The delivery it settles.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Takes the right out, once: what stays behind settles nothing.
    pub fn spend(&mut self) -> Option<Self> {
        let right = Self { tag: self.tag, epoch: self.epoch, spent: false };
        (!std::mem::replace(&mut self.spent, true)).then_some(right)
    }

    /// The session that gave it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}
