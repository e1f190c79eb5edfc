"""The ledger's migrations, numbered and never edited once released."""
