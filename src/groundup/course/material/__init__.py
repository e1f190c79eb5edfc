"""The material of the course, read from files: units, exercises, lessons, tracks; no unit's code is imported."""
