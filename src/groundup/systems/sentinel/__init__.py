"""Cyber-Sentinel."""
