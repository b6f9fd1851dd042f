//! The parent's side of the nursery.
