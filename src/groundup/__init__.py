"""groundup: an AI/ML roadmap that runs."""

__version__ = "0.1.0"
