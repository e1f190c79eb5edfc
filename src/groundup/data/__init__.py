"""Datasets: where they come from, their checksums and their provenance."""
