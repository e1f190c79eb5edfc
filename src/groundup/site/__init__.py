"""The local web site."""
