"""The bundle as an MLflow model: MLflow runs this file to load a registered version."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from api import bundle


class ProductCodeModel(PythonModel):
    """Gives the predicted code of each product of a table."""

    def load_context(self, context: PythonModelContext) -> None:
        """Opens the bundle among the run's artifacts."""
        self.bundle = bundle.load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Code and confidence of each row.

        Args:
            context: Not used.
            model_input: Columns designation, description and image (bytes of a file); any of them
                may be absent or empty.
            params: Not used.
        """
        del context, params
        rows = model_input.reindex(columns=["designation", "description", "image"])
        rows = rows.astype(object).where(rows.notna(), None)
        products = [bundle.Product(*row) for row in rows.itertuples(index=False)]
        probabilities = self.bundle.probabilities(products)
        best = probabilities.argmax(axis=1)
        return pd.DataFrame(
            {
                "code": [self.bundle.labels[position]["code"] for position in best],
                "confidence": probabilities.max(axis=1),
            },
            index=model_input.index,
        )


mlflow.models.set_model(ProductCodeModel())
