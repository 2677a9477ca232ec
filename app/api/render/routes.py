"""The route that shows what the image encoder gets."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation import operations
from app.api.execution import execute_render
from app.api.request_parsing import read_one_image
from app.api.responses import ignored_header

FRAMES_HEADER = "x-frames"

router = APIRouter(tags=["images"])


class PngResponse(Response):
    media_type = "image/png"


@router.post("/render", response_class=PngResponse, **operations.render_route())
async def render(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Decode one image, and return the picture that the encoder gets, before it is resized to the encoder's input.

    The image comes as in `/embed/image`. Parameters of a file or a form come from the query or the form's fields.
    """
    job = await read_one_image(request, service.settings)
    png, frame_count = await execute_render(request, service, model, job)
    return PngResponse(png, headers={FRAMES_HEADER: str(frame_count), **ignored_header(job.ignored_params)})
