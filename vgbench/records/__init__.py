"""Records: the JSON file that each evaluation writes, its signature, and the card of a folder of samples."""
