"""Records: the JSON file of each evaluation, its signature, and the card of a folder of sampled clips."""
