"""`python -m signet`."""

from signet.cli.main import run

run()
