"""The applications that are built on the units: each starts alone, and none imports another."""
