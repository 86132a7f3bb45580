"""``python -m catalogkit``."""

from catalogkit.cli import main

main()
