//! What becomes of a delivery: decide, then gather.

pub mod batch;
pub mod decide;
pub mod revoked;
