"""What belongs to a learner: the workspace, the ledger and what is derived from it, runs, the journal, review."""
