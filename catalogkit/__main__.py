"""``python -m catalogkit``: the command line."""

from catalogkit.cli import main

main()
