"""The pipeline: one module per stage of dvc.yaml, and the concepts the stages are made of."""

import os

# TensorFlow reads it when it is imported, wherever that happens first; its notes are no news here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in api/__init__.py
