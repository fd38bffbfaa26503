"""Atomic writes, files with a hash, locks, and the cache folder."""
