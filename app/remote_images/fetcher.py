"""Images by URL, where the operator allows it: fetched within limits, from public addresses alone.

A host is resolved once a request to it; all its addresses are checked, and the connection goes to one of those, while
the certificate is checked against the name. No proxy, cookie or key of this machine is used.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from app.errors import BodyTooLarge, RowError, UrlNotAllowed, UrlNotFetched
from app.inference.admission import HeldBytes
from app.inference.fair_queueing import FairSemaphore, Flow, VirtualTime
from app.inference.preprocessor import Item
from app.remote_images.addresses import Address, is_public, resolved
from app.remote_images.allowlist import AllowList, Target
from app.settings import Settings
from model.errors import ImageTooLarge, InvalidInput
from model.imaging.base64_images import is_url

if TYPE_CHECKING:
    import httpx2

MOST_AT_ONCE = 16  # of all requests together
MOST_REDIRECTS = 3
MOST_ADDRESSES = 3  # of a host that are tried
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "medimageinsight-server"}


class ImageFetcher:
    """Gets the images behind the URLs of requests."""

    def __init__(
        self,
        allowlist: AllowList,
        *,
        max_bytes: int,
        timeout_s: float,
        resolve: Callable[[str, int], Awaitable[Sequence[Address]]] = resolved,
        is_allowed: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Make a fetcher.

        Args:
            allowlist: what is fetched at all.
            max_bytes: in one image, and in a request's body and its images together.
            timeout_s: seconds for one image, with all its redirects.
            resolve: finds a host's addresses.
            is_allowed: whether to connect to an address.
            tls: None trusts the certificate authorities that are usual.
        """
        import httpx2

        self._allowlist, self._max_bytes, self._timeout_s = allowlist, max_bytes, timeout_s
        self._resolve, self._is_allowed = resolve, is_allowed
        # A connection is kept for nobody: the next one to its address may be to another name.
        unshared = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx2.AsyncHTTPTransport(verify=tls or True, trust_env=False, limits=unshared)
        self._places, self._time = FairSemaphore(MOST_AT_ONCE), VirtualTime()

    @classmethod
    def of(cls, settings: Settings) -> "ImageFetcher | None":
        """The settings' fetcher; None when no URL is allowed.

        Raises:
            AllowListUnusable: see there.
        """
        allowlist = AllowList.parse(settings.url_allowlist)
        if allowlist is None:
            return None
        return cls(allowlist, max_bytes=settings.max_body_bytes, timeout_s=settings.url_timeout_s)

    async def fetched(self, items: Sequence[Item], held: HeldBytes) -> tuple[list[Item], RowError | None]:
        """The items with what their URLs name in place of these, and the first that cannot be had, which ends them.

        Nothing is fetched behind a URL that is not allowed. All that is fetched is counted in `held`.

        Raises:
            BodyTooLarge, QueueFull: the images together are more than allowed, or than there is room for.
        """
        targets, bad_row = self._targets(items)
        flow = Flow(self._time)
        tasks = [
            asyncio.create_task(self._fetch(item, target, flow.next_start_tag(), held)) if target else None
            for item, target in zip(items, targets, strict=False)
        ]
        done: list[Item] = []
        try:
            for item, task in zip(items, tasks, strict=False):
                done.append(item if task is None else replace(item, value=await task))
        except RowError as error:
            bad_row = error
        finally:
            begun = [task for task in tasks if task is not None]
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)
        return done, bad_row

    def _targets(self, items: Sequence[Item]) -> tuple[list[Target | None], RowError | None]:
        """Where each item leads, None for one that is no URL, up to the first that is not allowed."""
        targets: list[Target | None] = []
        for item in items:
            url = item.value if isinstance(item.value, str) and is_url(item.value) else None
            try:
                targets.append(None if url is None else self._allowlist.target(url))
            except UrlNotAllowed as error:
                return targets, RowError(item.row, "image", error)
        return targets, None

    async def _fetch(self, item: Item, target: Target, start_tag: float, held: HeldBytes) -> bytes:
        async with self._places.place(start_tag):
            self._time.advance(start_tag)
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._followed(target, held)
            except InvalidInput as error:
                raise RowError(item.row, "image", error) from None
            except TimeoutError:
                late = UrlNotFetched(f"the image behind the URL did not arrive within {self._timeout_s:g} seconds")
                raise RowError(item.row, "image", late) from None

    async def _followed(self, target: Target, held: HeldBytes) -> bytes:
        for _ in range(1 + MOST_REDIRECTS):
            response = await self._asked(target)
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or location is None:
                    return await self._body(response, held)
                target = self._allowlist.target(target.joined(location))
            except ValueError:
                raise UrlNotFetched("the image's URL is redirected to what is no URL") from None
            finally:
                await response.aclose()
        raise UrlNotFetched(f"the image's URL is redirected more than {MOST_REDIRECTS} times")

    async def _asked(self, target: Target) -> "httpx2.Response":
        """The beginning of the answer of a target's host, at an address of it that may be connected to."""
        import httpx2

        addresses = (await self._addresses(target))[:MOST_ADDRESSES]
        timeouts = {"connect": self._timeout_s / len(addresses)}  # one that is silent leaves time for the others
        for address in addresses:
            url = httpx2.URL(
                scheme=target.scheme,
                host=str(address),
                port=target.port,
                raw_path=f"{target.path}{target.query}".encode(),
            )
            headers = {"host": target.authority, **_HEADERS}
            extensions = {"sni_hostname": target.host, "timeout": timeouts}
            request = httpx2.Request("GET", url, headers=headers, extensions=extensions)
            try:
                return await self._transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
            except httpx2.HTTPError:
                break
        raise UrlNotFetched("the server that the image's URL names cannot be reached, or does not answer in HTTP")

    async def _addresses(self, target: Target) -> Sequence[Address]:
        try:
            addresses = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise UrlNotFetched("the host that the image's URL names has no address")
        if not all(self._is_allowed(address) for address in addresses):
            raise UrlNotAllowed("the host that the image's URL names has an address that is not public")
        return addresses

    async def _body(self, response: "httpx2.Response", held: HeldBytes) -> bytes:
        import httpx2

        if response.status_code != httpx2.codes.OK:
            raise UrlNotFetched(f"the server that the image's URL names answered {response.status_code}, not 200")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UrlNotFetched("the server that the image's URL names compressed its answer, which was not asked for")
        declared = int(response.headers.get("content-length", 0))  # a number: the parser refuses anything else
        self._check_size(declared)
        body = bytearray()  # a body may come byte by byte, and a list of those would be fifty times as large
        try:
            async for part in response.aiter_raw():
                self._check_size(len(body) + len(part))
                self._hold(held, len(part))
                body += part
        except httpx2.HTTPError:
            raise UrlNotFetched("the server that the image's URL names broke off its answer") from None
        return bytes(body)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise ImageTooLarge(
                f"the image behind the URL has more than the {self._max_bytes:,} bytes that are allowed"
            )

    def _hold(self, held: HeldBytes, size: int) -> None:
        held.add(size)
        if held.size > self._max_bytes:
            raise BodyTooLarge(
                f"The request and the images behind its URLs have together more than the {self._max_bytes:,} bytes "
                "that are allowed; send it in parts."
            )

    async def stop(self) -> None:
        await self._transport.aclose()
