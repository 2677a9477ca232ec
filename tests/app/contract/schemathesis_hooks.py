"""Hooks of schemathesis: they leave out requests that the service rightly answers in another way than the document."""

from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation

# Their parameters are those of /embed/image, read by the same code. Thousands of requests would be sent for them.
REPEATED = ("/embed", "/score", "/invocations")


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Change what the requests are made from.

    No declared request headers are sent, because a deadline of 1 ms rightly gives 504. A field of a form has no type,
    so that no text is wrong.
    """
    for path, operations in raw_schema["paths"].items():
        left_out = ("header", "query") if path in REPEATED else ("header",)
        for operation in operations.values():
            kept = [one for one in operation.get("parameters", ()) if one["in"] not in left_out]
            operation["parameters"] = kept
            form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {})
            if "text" in form.get("schema", {}).get("properties", {}):
                form["schema"]["properties"]["text"] = {}


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Send no wrong query beside a JSON body: such a query is ignored."""
    query = case.meta.components.get(ParameterLocation.QUERY) if case.meta else None
    return not (case.media_type == "application/json" and query and query.mode.is_negative)
