//! The core of fastq, without Python. The path of a message, in order:
//!
//! 1. [`message`]: what is sent, as the bytes it is
//! 2. [`broker`]: where it waits; [`store`]: where its result will live
//! 3. [`consumer`]: taking from the queues; [`consumer::accept`]: a Delivery becomes a [`job`]
//! 4. [`buffer`]: jobs in hand; ready or waiting
//! 5. [`dispatch`]: the one decision maker: which job goes to which slot
//! 6. [`pool`]: slots, and the pipe to the executors behind them
//! 7. [`settle`]: what becomes of the Delivery, gathered into Commits
//! 8. [`worker`]: the assembly: it wires these together and decides nothing
//!
//! 3 (accept, credit), 4, 5 and 7 are pure: no clock, no socket, no thread.
#![forbid(unsafe_code)]

mod alarm;
pub mod broker;
pub mod buffer;
pub mod clock;
pub mod consumer;
pub mod dispatch;
pub mod error;
pub mod event;
pub mod fork;
pub mod ident;
pub mod job;
pub mod message;
pub mod pool;
pub mod settle;
pub mod store;
pub mod worker;
