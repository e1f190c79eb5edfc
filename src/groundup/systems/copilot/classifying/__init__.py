"""A classifier of records: its labels, its features, its trees."""
