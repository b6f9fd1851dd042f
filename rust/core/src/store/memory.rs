//! Results of the memory broker.
