"""`vgbench bench`: train, sample, score and rank the grid of a suite. Importing it does not import torch.

`suite` reads the file, `cells` expands it to the grid, `work` does the work for one cell, `processes` shares
cells out over processes, `run` plans and runs the whole, and `summary` analyses the finished table.
"""
