"""Weights: the file that ships with vgbench, and the cache of those that are fetched or added.

`registry` has fetch, add, verify and list_cached; `file` reads and writes safetensors.
"""
