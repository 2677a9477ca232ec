"""The files of the documentation pages name no image of a foreign host."""

import httpx
import pytest


@pytest.mark.parametrize("path", ["redoc.standalone.js", "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"])
async def test_the_files_of_the_pages_are_served(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/static-offline-docs/{path}")
    assert answer.status_code == 200
    assert b"cdn.redoc.ly" not in answer.content


async def test_the_script_of_redoc_is_whole(client: httpx.AsyncClient) -> None:
    answer = await client.get("/static-offline-docs/redoc.standalone.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert 'alt:"redocly logo",onError:()=>t(!1),src:"data:,"' in answer.text
