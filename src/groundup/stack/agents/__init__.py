"""Agents: Models that act, and the engineering that keeps them reliable."""
