"""Weights: the file that ships with vgbench, and the cache of those that are downloaded or added.

`registry` offers fetch, add, verify and list_cached; `resolve` loads trained or random weights into a
network; `file` reads a weights file. `download` and `package_index` bring files from their publishers and
from the user's package index, which `index_settings` finds.
"""
