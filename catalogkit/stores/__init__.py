"""Stores of bytes: folders, buckets, and files that stay with their owner."""
