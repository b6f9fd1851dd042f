//! Whole lives of jobs through the machine: stories by hand, and thousands of random schedules.

mod beside;
mod chords;
mod gates;
mod lines;
mod properties;
mod revoked;
mod stories;
mod world;
