//! The pipe protocol.
