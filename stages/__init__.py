"""The pipeline: one module per stage of dvc.yaml, and the concepts the stages are made of."""
