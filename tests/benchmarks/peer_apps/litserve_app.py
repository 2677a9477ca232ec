"""LitServe with batching: batches as large as our server's, and the timeout of 50 ms from its documentation."""

import os
import sys
from typing import Any

import litserve

from tests.benchmarks.peer_apps.encoder import Encoder

BATCH_TIMEOUT_S = 0.05


class EncoderAPI(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.encoder = Encoder()

    def decode_request(self, request: dict[str, Any]) -> Any:
        return self.encoder.prepare(request["input_data"]["data"][0][0])

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, inputs: list[Any]) -> list[list[float]]:
        return self.encoder.encode(inputs)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        return output

    def encode_response(self, output: list[float]) -> list[dict[str, Any]]:
        return [{f"{os.environ['PEER_KIND']}_features": [output]}]


if __name__ == "__main__":
    api = EncoderAPI(max_batch_size=int(sys.argv[2]), batch_timeout=BATCH_TIMEOUT_S, api_path="/embed")
    server = litserve.LitServer(api, accelerator="cpu", timeout=False, healthcheck_path="/health/ready")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
