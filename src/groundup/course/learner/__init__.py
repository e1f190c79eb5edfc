"""The learner's side: the workspace, the ledger and the progress derived from it, runs, the journal, review."""
