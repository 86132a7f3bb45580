"""Policies: settings that decide, as plain data, checked when they are read; they read no clock and touch nothing."""
