"""The OpenAPI document of a server without keys, and its operations."""

from typing import Any

from app.main import create_app
from app.settings import Settings

EMBEDDING_ROUTES = ("/embed", "/score", "/invocations", "/embed/image", "/embed/text")
OTHER_SCHEMAS = ("/v1/embeddings", "/v2/embed", "/providers/microsoft/v2/embed", "/predict", "/encode")
DOCUMENT: dict[str, Any] = create_app(Settings(model="another")).openapi()
OPERATIONS: dict[tuple[str, str], Any] = {
    (method, path): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
