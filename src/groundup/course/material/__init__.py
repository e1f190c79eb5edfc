"""What the course is made of, read from files: units, exercises, lessons, tracks; no unit's code is imported."""
