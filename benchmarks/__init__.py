"""Every speed claim of catalogkit, measured beside the tool it is about: ``python -m benchmarks --help``."""
