//! The state machine of a slot.
