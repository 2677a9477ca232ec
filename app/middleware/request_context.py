"""State of one request that middleware and routes share."""

from dataclasses import dataclass, field

from starlette.types import Scope

from app.inference.admission import HeldBytes
from app.telemetry.stage_timings import StageTimings


@dataclass
class RequestContext:
    """The only entry of `request.state`; `RequestTelemetry`, the outermost middleware, creates it."""

    held_bytes: HeldBytes
    timings: StageTimings = field(default_factory=StageTimings)
    request_id: str = ""
    row_count: int | None = None
    """Rows of a request that embeds, once its body is parsed; None for every other request."""
    error_code: str = ""
    """Code of the error that the request is answered with, as in its body."""

    def attach(self, scope: Scope) -> None:
        scope.setdefault("state", {})["context"] = self

    @classmethod
    def of(cls, scope: Scope) -> "RequestContext":
        """The context that was attached to a request's scope."""
        context: RequestContext = scope["state"]["context"]
        return context
