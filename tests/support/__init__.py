"""What tests of all kinds share: a running worker, waiting for facts, a ledger of runs, servers."""
