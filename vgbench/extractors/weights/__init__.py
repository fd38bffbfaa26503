"""Weights: the file that ships with vgbench, and the cache of those that are fetched or added.

`registry` has fetch, add, verify and list_cached; `resolve` loads weights, or random ones, into a network;
`file` reads and writes safetensors.
"""
