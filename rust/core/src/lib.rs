//! The core of fastq, without Python.
#![forbid(unsafe_code)]

pub mod broker;
pub mod clock;
pub mod error;
pub mod ident;
pub mod job;
pub mod message;
pub mod pool;
pub mod store;
pub mod worker;
