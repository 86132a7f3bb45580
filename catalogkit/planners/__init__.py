"""Planners: pure functions from frames and a policy to a `Plan`. They read no clock and touch nothing."""
