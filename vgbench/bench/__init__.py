"""`vgbench bench`: a suite in, a trained, sampled, scored and ranked grid out. Importing it imports no torch.

`suite` is the file, `cells` the grid that it stands for, `work` what is done for one cell, `processes` who
does it, `run` the whole, `summary` what the finished table says.
"""
