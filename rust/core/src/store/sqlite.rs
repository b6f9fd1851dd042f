//! Results in the SQLite file.
