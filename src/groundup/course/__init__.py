"""Catalogue, tracks, workspace, overlay, grader, ledger and review; no HTTP and no terminal here."""
