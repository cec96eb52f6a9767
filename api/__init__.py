"""The service that answers with product type codes, and the bundle format it reads."""

import os

# ONNX Runtime reads it when it is imported: else it reports its use to its maker, and keeps an
# identifier in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
