"""Production: Serving, watching, validating and defending what was built."""
