"""Settings of the service: environment variables, and flags of `medimageinsight serve`.

Each setting is read from `MEDIMAGEINSIGHT_<NAME>`, or else from the bare variable `<NAME>`. A flag has priority over
both.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "MEDIMAGEINSIGHT_"
MIB = 1024 * 1024


def _auto_or_count(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    """Replace one message per alternative by one for both."""
    try:
        return parse(value)
    except ValidationError:
        raise ValueError("Input should be auto, or an integer greater than or equal to 0") from None


class Settings(BaseSettings):
    """The service's settings, read once at start."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix=PREFIX)

    model: str = Field(
        "",
        description="Release folder, weights file, or Hugging Face id (owner/name or owner/name@revision); "
        "empty takes the demonstration model",
    )
    host: str = Field("127.0.0.1", description="Address or host name to listen on; 0.0.0.0 listens on all addresses")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free port")
    heads: str = Field(
        "",
        description="Folders of heads for /classify: one per flag, or separated by commas in the variable; a head has "
        "the name of its folder",
    )
    image_only: bool = Field(
        False, description="Load no text encoder, which saves its memory; texts are refused, and all heads still work"
    )
    device: str = Field("auto", description="Device of the model: auto, cpu, cuda, cuda:N or mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Number format of the encoders; auto takes bfloat16 on CUDA, float16 on a GPU without bfloat16, "
        "and float32 elsewhere; embeddings are always float32",
    )
    threads: int = Field(0, ge=0, description="Threads of torch on a CPU; 0 takes every CPU that the process may use")
    decode_threads: int = Field(
        0,
        ge=0,
        description="Threads that decode and resize images and tokenise long texts; a server decodes images in them "
        "only if decode_workers is 0; 0 takes one per CPU, at most 8",
    )
    decode_workers: Annotated[NonNegativeInt | Literal["auto"], WrapValidator(_auto_or_count)] = Field(
        "auto",
        description="Processes of a server that decode and resize images; auto takes one per CPU, at most 8; 0 decodes "
        "in decode_threads, where nothing contains a decoder that hangs or crashes",
    )
    decode_memory_bytes: PositiveInt = Field(
        2048 * MIB,
        description="Largest number of bytes that decoding one image may take in a worker process (Linux), at least "
        "16 max_image_pixels + 2 max_body_bytes; beyond it, the image is refused",
    )
    decode_timeout_s: float = Field(
        20.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds of CPU time that decoding one image may take in a worker process; on the clock, three "
        "times as many; beyond them, the image is refused",
    )
    max_batch_size: int = Field(
        0,
        ge=0,
        description="Largest number of images per device call; 0 takes 32 on a GPU, and the size of one forward pass "
        "on a CPU",
    )
    text_batch_tokens: int = Field(
        0,
        ge=0,
        description="Largest number of tokens per device call, padding included; 0 takes 16384 on a GPU, 1024 on a CPU",
    )
    concurrent_batches: int = Field(
        0,
        ge=0,
        description="Largest number of batches that a CPU computes at once, with its threads divided among them; "
        "0 takes one per thread, at most 4; a GPU always computes one",
    )
    batch_wait_ms: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Milliseconds that a free device waits for more entries before it starts a batch",
    )
    api_keys: SecretStr = Field(
        SecretStr(""), description="Keys that clients must send, separated by commas; empty allows every client"
    )
    api_keys_file: Path | None = Field(
        None, description="File with one key per line, read again when it changes; for mounted secrets"
    )
    metrics_key: SecretStr = Field(
        SecretStr(""), description="Key that opens only /metrics, for Prometheus; several are separated by commas"
    )
    metrics_key_file: Path | None = Field(
        None, description="File with one key per line that opens only /metrics, read again when it changes"
    )
    ui: bool = Field(
        True, description="Answer browsers at / with a page to try the model in; false answers Healthy to every client"
    )
    docs_open: bool = Field(False, description="Answer /docs, /redoc and the files that these pages load without a key")
    cors_origins: str = Field(
        "",
        description="Origins, separated by commas, whose pages may call the service from a browser; * allows all",
    )
    url_allowlist: str = Field(
        "",
        description="Host names (for https) and URL prefixes, separated by commas, from which images given by URL are "
        "fetched; empty refuses every URL",
    )
    url_timeout_s: float = Field(
        10.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that fetching an image by its URL may take, redirects included",
    )
    queue_size: PositiveInt = Field(
        1024, description="Largest number of rows admitted at once, queued and running; beyond it, requests get 429"
    )
    queue_bytes: PositiveInt = Field(
        512 * MIB,
        description="Largest number of bytes of request bodies and fetched images held at once; beyond it, requests "
        "get 429",
    )
    max_concurrent_requests: PositiveInt = Field(
        1024, description="Largest number of requests in flight whose body has arrived; beyond it, requests get 429"
    )
    text_cache_size: int = Field(
        10_000,
        ge=0,
        description="Number of text embeddings kept in memory, and of vectors of labels of /classify; 0 keeps none",
    )
    max_rows: PositiveInt = Field(1024, description="Largest number of rows per request; at most queue_size")
    max_labels: PositiveInt = Field(2000, description="Largest number of labels per request and per head")
    max_body_bytes: PositiveInt = Field(
        64 * MIB, description="Largest number of bytes per request: its body and the images behind its URLs"
    )
    max_image_pixels: Annotated[PositiveInt, Field(le=89_478_485)] = Field(
        64_000_000, description="Largest number of pixels per image, read from its header"
    )
    max_text_chars: PositiveInt = Field(
        200_000,
        description="Largest number of characters per text; tokens beyond the context length are cut off",
    )
    header_timeout_s: float = Field(
        10.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds within which a new connection must send the headers of its first request, and within "
        "which later headers must arrive after their first byte",
    )
    body_timeout_s: float = Field(60.0, gt=0, description="Seconds within which a request body must arrive")
    request_timeout_s: float = Field(
        300.0,
        gt=0,
        description="Seconds within which a request is answered after its body has arrived; the header "
        "x-request-timeout-ms can shorten it",
    )
    device_timeout_s: float = Field(
        300.0, gt=0, description="Seconds that one device call may take before the service reports that it is not ready"
    )
    unhealthy_exit_s: float = Field(
        60.0,
        ge=0,
        description="Seconds after device_timeout_s at which a process with a hanging device ends with status 1, so "
        "that it is restarted",
    )
    drain_timeout_s: float = Field(
        300.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that a stopping server waits for the requests in flight",
    )
    layout: Literal["rows", "azure", "parts", "columns"] = Field(
        "rows",
        description="Layout of the answers to requests without params.layout: rows, azure, parts or columns; for "
        "clients that cannot be changed",
    )
    cache_dir: Path = Field(
        Path("~/.cache/medimageinsight"), description="Folder for downloaded models and for embeddings of the commands"
    )
    offline: bool = Field(
        False, description="Never download a model: one given by Hugging Face id must already be in cache_dir"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto",
        description="Format of the log: json (one object per line) or text; auto takes text on a terminal, otherwise "
        "json",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (named by pydantic-settings)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags first, then prefixed variables, then bare variables."""
        return init_settings, env_settings, EnvSettingsSource(settings_cls, env_prefix="")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
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
        if self.decode_workers != 0 and self.decode_memory_bytes < self.least_decode_memory_bytes:
            raise ValueError(
                f"decode_memory_bytes ({self.decode_memory_bytes}) is less than 16 max_image_pixels + 2 max_body_bytes "
                f"({self.least_decode_memory_bytes}): allowed images would be refused"
            )
        return self

    @property
    def least_decode_memory_bytes(self) -> int:
        """Bytes that the largest allowed image may need: decoders hold up to 16 bytes per pixel, beside the file."""
        return 16 * self.max_image_pixels + 2 * self.max_body_bytes


class _TracesSettings(BaseSettings):
    """OpenTelemetry's standard variables that decide whether traces are sent. OpenTelemetry reads the others itself."""

    model_config = SettingsConfigDict(extra="ignore")

    otel_sdk_disabled: bool = False
    otel_traces_exporter: str = "otlp"
    otel_exporter_otlp_endpoint: str = ""
    otel_exporter_otlp_traces_endpoint: str = ""


def wants_traces() -> bool:
    """Whether the standard variables name an endpoint for traces, and none of them turns traces off."""
    settings = _TracesSettings()
    is_named = settings.otel_exporter_otlp_endpoint or settings.otel_exporter_otlp_traces_endpoint
    return bool(is_named) and not settings.otel_sdk_disabled and settings.otel_traces_exporter == "otlp"
