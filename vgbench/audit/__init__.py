"""Can a metric be trusted on these clips with this extractor? Damage real clips and see what it says.

`vgbench.audit.run.audit` measures, `result` holds what was found, `terminal` and `page` show it.
"""
