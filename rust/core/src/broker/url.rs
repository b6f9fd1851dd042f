//! URLs of brokers and stores.
