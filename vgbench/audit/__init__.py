"""Can a metric be trusted on these clips and with this extractor? Damage real clips and see how it reacts.

`run.audit` does the work: `halves` splits and damages the clips, `reaction` turns scores into a `result`, and
`page` and `terminal` show it with the same `words`.
"""
