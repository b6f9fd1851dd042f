//! The executor's end of a slot.
