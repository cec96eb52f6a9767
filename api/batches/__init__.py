"""Many products at once: rows in, rows out, for POST /predict/batch and `python -m api.batch`."""
