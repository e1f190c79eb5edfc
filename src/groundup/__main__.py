"""`python -m groundup`."""

from groundup.cli import main

main()
