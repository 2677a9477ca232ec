"""Headers for browsers."""

import httpx
import pytest


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_pages_may_load_from_this_server_only(path: str, client: httpx.AsyncClient) -> None:
    policy = (await client.get(path)).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
