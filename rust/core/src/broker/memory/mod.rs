//! Queues in one process, for tests and eager work.
