//! The assembly of the parent: wires, never decides.

pub mod config;

pub use crate::event;
