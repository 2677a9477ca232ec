"""Every setting of the service: an environment variable of that name, and a flag of `medimageinsight serve`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class Settings(BaseSettings):
    """The service's settings, read once at start."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    model: str = Field(
        "",
        description="release folder, weights file, or Hugging Face id (owner/name or owner/name@revision); "
        "unset, the embedded demonstration model",
    )
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="of the encoders; auto is float32 on a CPU, bfloat16 (else float16) on CUDA; answers are float32",
    )
    threads: int = Field(0, ge=0, description="torch's threads on a CPU; 0 takes every CPU that the process may use")
    decode_threads: int = Field(
        0, ge=0, description="threads that decode and resize images; 0 takes as many as CPUs, at most 8"
    )
    max_batch_size: int = Field(
        0, ge=0, description="images in one device call; 0 takes 32 on a GPU and, on a CPU, what one forward pass takes"
    )
    text_batch_tokens: int = Field(
        0, ge=0, description="tokens, padding included, in one device call; 0 takes 16384 on a GPU, 1024 on a CPU"
    )
    concurrent_batches: int = Field(
        0,
        ge=0,
        description="batches that a CPU computes at once, sharing its threads, when there are several; "
        "0 takes as many as threads, at most 4; a GPU takes one",
    )
    batch_wait_ms: float = Field(
        0.0, ge=0, le=1000, description="how long a free device waits for more entries before it starts a batch"
    )
    api_keys: SecretStr = Field(
        SecretStr(""), description="keys that clients must send, separated by commas; none lets everybody in"
    )
    api_keys_file: Path | None = Field(
        None, description="file with such keys, one a line, read again when it changes; for mounted secrets"
    )
    cors_origins: str = Field(
        "", description="origins, separated by commas, whose pages may call the service from a browser; * for all"
    )
    url_allowlist: str = Field(
        "",
        description="hosts (by https) and URL prefixes, separated by commas, from which an image given by its URL is "
        "fetched; none refuses every URL",
    )
    url_timeout_s: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="seconds for such an image to arrive, with all redirects"
    )
    queue_size: PositiveInt = Field(
        1024, description="rows admitted at once, queued and running; beyond it requests get 429"
    )
    queue_bytes: PositiveInt = Field(
        512 * MIB,
        description="bytes of request bodies, and of images behind URLs, held at once; beyond it requests get 429",
    )
    max_concurrent_requests: PositiveInt = Field(
        1024, description="requests whose body is there, decoded and answered at once; beyond it they get 429"
    )
    text_cache_size: int = Field(10_000, ge=0, description="text embeddings remembered; 0 turns the cache off")
    max_rows: PositiveInt = Field(1024, description="rows in one request; at most queue_size")
    max_body_bytes: PositiveInt = Field(
        64 * MIB, description="bytes in one request body, and in it and the images behind its URLs"
    )
    max_image_pixels: Annotated[PositiveInt, Field(le=89_478_485)] = Field(
        64_000_000, description="pixels in one image, read from its header"
    )
    max_text_chars: PositiveInt = Field(
        200_000, description="characters in one text; what is past the context length is cut"
    )
    body_timeout_s: float = Field(60.0, gt=0, description="seconds for a request body to arrive")
    request_timeout_s: float = Field(
        300.0,
        gt=0,
        description="seconds for a request to be answered, once its body is there; "
        "the header x-request-timeout-ms shortens it",
    )
    device_timeout_s: float = Field(
        300.0, gt=0, description="seconds that one device call may take before the service says that it is not ready"
    )
    unhealthy_exit_s: float = Field(
        60.0, ge=0, description="seconds beyond that after which the process ends with status 1, to be restarted"
    )
    drain_timeout_s: float = Field(
        300.0, gt=0, allow_inf_nan=False, description="seconds that a stopping server gives the requests in flight"
    )
    cache_dir: Path = Field(Path("~/.cache/medimageinsight"), description="where downloaded models are kept")
    offline: bool = Field(False, description="never download a model: a Hugging Face id must be in cache_dir already")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="one JSON object a line, or text; auto is text where the log goes to a terminal"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")

    @model_validator(mode="after")
    def _rows_fit_the_queue(self) -> Self:
        if self.max_rows > self.queue_size:
            raise ValueError(
                f"max_rows ({self.max_rows}) is larger than queue_size ({self.queue_size}): "
                "such requests could never be admitted"
            )
        if self.max_body_bytes > self.queue_bytes:
            raise ValueError(
                f"max_body_bytes ({self.max_body_bytes}) is larger than queue_bytes ({self.queue_bytes}): "
                "such requests could never be admitted"
            )
        return self


class _TracesSettings(BaseSettings):
    """What of OpenTelemetry's standard variables decides whether traces are sent; the rest is its own to read."""

    model_config = SettingsConfigDict(extra="ignore")

    otel_sdk_disabled: bool = False
    otel_traces_exporter: str = "otlp"
    otel_exporter_otlp_endpoint: str = ""
    otel_exporter_otlp_traces_endpoint: str = ""


def wants_traces() -> bool:
    """Whether the standard variables name an endpoint for traces, and none of them turns it off."""
    settings = _TracesSettings()
    is_named = settings.otel_exporter_otlp_endpoint or settings.otel_exporter_otlp_traces_endpoint
    return bool(is_named) and not settings.otel_sdk_disabled and settings.otel_traces_exporter == "otlp"
