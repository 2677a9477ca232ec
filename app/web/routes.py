"""`GET /`: the page for browsers, and the word of a liveness probe for every other client."""

from functools import cache
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from app.api.content_negotiation import qualities
from app.api.dependencies import ServiceDependency
from app.settings import Settings

FOLDER = Path(__file__).parent
PAGE = "page.html"
LIVE = "Healthy"  # what probes of Azure look for; the page has the word too
# Scripts, styles and requests of this server only, no script in the page itself, and no markup made from strings.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE_HEADERS = {"content-security-policy": POLICY, "cross-origin-opener-policy": "same-origin", "vary": "accept"}

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
async def root(request: Request, service: ServiceDependency) -> Response:
    """Answer a browser with the page, unless UI is false, and every other client with `Healthy`."""
    if service.settings.ui and _is_browser(request.headers.get("accept", "")):
        return HTMLResponse(_page(), headers=PAGE_HEADERS)
    return HTMLResponse(LIVE, headers={"vary": "accept"})


def add_files(app: FastAPI, settings: Settings) -> None:
    """Serve the files that the page loads, unless UI is false."""
    if settings.ui:
        app.mount("/web", StaticFiles(directory=FOLDER / "static"))


@cache
def _page() -> str:
    return (FOLDER / PAGE).read_text(encoding="utf-8")


def _is_browser(accept: str) -> bool:
    """Whether HTML is named in the header, and nothing is preferred to it, as in the requests of a browser's user."""
    asked = qualities(accept)
    return asked.get("text/html", 0) > 0 and asked["text/html"] == max(asked.values())
