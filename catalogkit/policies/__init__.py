"""Policies: what somebody decided once, in plain data, checked when it is written down. They read no clock and touch
nothing."""
