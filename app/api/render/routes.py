"""The route that shows what the image encoder gets."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.content_negotiation import qualities
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.answers import picture_answer
from app.api.documentation.bodies import image_body
from app.api.documentation.operations import post_route
from app.api.documentation.parameters import query_parameters
from app.api.execution import execute_render
from app.api.render.schema import RenderParams
from app.api.request_parsing import read_one_image
from app.api.responses import ignored_header

FRAMES_HEADER = "x-frames"
PNG, OCTETS = "image/png", "application/octet-stream"

router = APIRouter(tags=["images"])


@router.post(
    "/render",
    response_class=Response,
    **post_route(
        "Show what the image encoder gets",
        image_body("RenderRequest", {"standardized": True}, several=False),
        None,
        picture_answer("The picture as a PNG file.", PNG, OCTETS),
        query_parameters(RenderParams, without=["frames"]),
    ),
)
async def render(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Decode one image, and return the picture that the encoder gets, before it is resized to the encoder's input.

    The image comes as in `/embed/image`. Parameters of a file or a form come from the query or the form's fields.
    """
    job = await read_one_image(request, service.settings)
    png, frame_count = await execute_render(request, service, model, job)
    accepted = qualities(request.headers.get("accept", ""))
    png_quality = next((accepted[name] for name in (PNG, "image/*", "*/*") if name in accepted), 0)
    media_type = OCTETS if accepted.get(OCTETS, 0) > png_quality else PNG
    headers = {FRAMES_HEADER: str(frame_count), **ignored_header(job.ignored_params)}
    return Response(png, headers=headers, media_type=media_type)
