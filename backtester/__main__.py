"""`python -m backtester` is `bt`."""

from backtester.cli.main import main

main()
