"""The library: one package per phase, one folder per unit."""
