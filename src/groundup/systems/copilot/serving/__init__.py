"""The copilot over HTTP: the service, its API, its page."""
