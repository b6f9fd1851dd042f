//! The parent's end of a slot.
