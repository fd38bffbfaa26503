"""Weights: the file that ships with vgbench, and the cache of those that are fetched or added."""
