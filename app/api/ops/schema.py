"""Answers of the routes for operators and probes."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"]


class Ready(BaseModel):
    """Requests are served."""

    status: Literal["ready"]


class Version(BaseModel):
    """The service's version."""

    version: str


class ModelFacts(BaseModel):
    """The model that is served."""

    name: str = Field(description="name of the release")
    demonstration: bool = Field(description="whether it is the demonstration model, which knows no medicine")
    checkpoint: str = Field(description="name of the file of the weights")
    checkpoint_sha256: str
    embedding_size: int = Field(description="D, the numbers per vector")
    image_size: list[int] = Field(description="height and width of the encoder's input, in pixels")
    context_length: int = Field(description="tokens to which a text is cut")
    text_encoder: bool = Field(description="whether texts can be embedded; false with IMAGE_ONLY")
    scaling_factor: float = Field(description="the raw learned `logit_scale`; apply exp() yourself")


class Limits(BaseModel):
    """The limits of requests and of batches; the settings of the same names explain them."""

    max_batch_size: int = Field(description="images per device call")
    text_batch_tokens: int = Field(description="tokens per device call")
    concurrent_batches: int = Field(description="device calls at once")
    queue_size: int = Field(description="rows that are admitted and not answered")
    queue_bytes: int
    max_concurrent_requests: int
    max_rows: int = Field(description="rows per request")
    max_labels: int = Field(description="labels per request")
    max_body_bytes: int
    max_image_pixels: int
    max_text_chars: int
    request_timeout_s: float


class StartupTimes(BaseModel):
    """Seconds that the stages of the start took."""

    imports_s: float
    load_s: float
    warm_up_s: float


class Counters(BaseModel):
    """Counts since the start, except `requests_in_flight`."""

    image_batches: int
    images: int = Field(description="distinct images that were computed")
    text_batches: int
    texts: int = Field(description="distinct texts that were computed")
    text_cache_misses: int
    text_cache_hits: int
    shared_entries: int = Field(description="images and texts that were deduplicated before the device")
    requests_in_flight: int = Field(description="requests that are not answered yet")
    dropped_entries: int = Field(description="images and texts whose client left, or whose deadline passed")


class Info(BaseModel):
    """The answer of `GET /info`."""

    model: ModelFacts
    heads: list[str] = Field(description="names of the loaded heads")
    device: str
    dtype: str = Field(description="number format of the encoders")
    threads: int
    limits: Limits
    startup: StartupTimes
    counters: Counters
    version: str
    notice: str = Field(description="what the service must not be used for")


INFO_EXAMPLE: dict[str, Any] = {
    "model": {
        "name": "2024.09.27",
        "demonstration": False,
        "checkpoint": "medimageinsigt-v1.0.0.pt",
        "checkpoint_sha256": "6b51f2d8…",
        "embedding_size": 1024,
        "image_size": [480, 480],
        "context_length": 77,
        "text_encoder": True,
        "scaling_factor": 4.51336,
    },
    "heads": [],
    "device": "cpu",
    "dtype": "float32",
    "threads": 8,
    "limits": dict.fromkeys(Limits.model_fields, 1000) | {"request_timeout_s": 300.0},
    "startup": {"imports_s": 2.1, "load_s": 1.4, "warm_up_s": 0.9},
    "counters": dict.fromkeys(Counters.model_fields, 0),
    "version": "0.1.0",
    "notice": "Research software. Not a medical device, not for clinical use.",
}
