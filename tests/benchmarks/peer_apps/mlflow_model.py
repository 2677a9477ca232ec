"""A pyfunc model, written as code, for `mlflow models serve`."""

from typing import Any

import mlflow

from tests.benchmarks.peer_apps.encoder import Encoder


class EncoderModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def load_context(self, context: Any) -> None:
        self.encoder = Encoder()

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        kind = self.encoder.kind
        prepared = [self.encoder.prepare(value) for value in model_input[kind]]
        return [{f"{kind}_features": [vector]} for vector in self.encoder.encode(prepared)]


mlflow.models.set_model(EncoderModel())
