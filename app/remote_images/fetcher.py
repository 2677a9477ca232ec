"""Fetcher of the images that a request gives by URL.

Clients choose the URLs, so this code must not become a way into the operator's network. Its rules are:

- Nothing is fetched unless URL_ALLOWLIST allows the URL: fetching is off by default.
- Only https is used, unless a prefix in the list starts with http://: without TLS, anybody on the way can replace an
  image.
- Every redirect is checked like a new URL, because the allowed server may send us elsewhere. At most `MAX_REDIRECTS`
  are followed.
- A host name is resolved once per HTTP request. The connection goes to an address that was checked, because the same
  name may have another address a moment later.
- One address that is not public refuses the host: it could lead to this machine, its neighbours or a metadata service.
- The certificate must be valid for the host name, although the connection goes to an address.
- Proxies, cookies, .netrc and keys of this machine are not used: they would give its rights to the client.
- Time and bytes are limited per image, and bytes also per request. At most `MAX_PARALLEL_FETCHES` run at once, shared
  fairly between requests.
- A compressed answer is refused, because a few bytes could unpack to very many.
- No error message repeats a URL, because a URL may hold a token or the name of a patient.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from app.errors import BodyTooLarge, RowError, UrlNotAllowed, UrlNotFetched
from app.fair_queueing import FairSemaphore, Flow, VirtualTime
from app.inference.admission import HeldBytes
from app.inference.bad_rows import BadRows
from app.inference.items import Item
from app.remote_images.addresses import Address, is_public, resolve_host
from app.remote_images.allowlist import AllowList, Target
from app.settings import Settings
from model.errors import ImageTooLarge, InvalidInput
from model.imaging.base64_images import is_url

if TYPE_CHECKING:
    import httpx2

MAX_PARALLEL_FETCHES = 16  # of all requests together
MAX_REDIRECTS = 3
MAX_ADDRESSES = 3  # per host that are tried
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "medimageinsight-server"}


class ImageFetcher:
    """Fetches images by URL, with one transport for all requests."""

    def __init__(
        self,
        allowlist: AllowList,
        *,
        max_bytes: int,
        timeout_s: float,
        resolve: Callable[[str, int], Awaitable[Sequence[Address]]] = resolve_host,
        is_allowed: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Create a fetcher.

        Args:
            allowlist: URLs that may be fetched.
            max_bytes: largest number of bytes per image, and per request with all its images.
            timeout_s: seconds per image, redirects included.
            resolve: returns the addresses of a host and port; default: the system's resolver.
            is_allowed: whether a connection to an address is permitted; default: only to public addresses.
            tls: context that verifies certificates; None trusts the usual certificate authorities.
        """
        import httpx2

        self._allowlist, self._max_bytes, self._timeout_s = allowlist, max_bytes, timeout_s
        self._resolve, self._is_allowed = resolve, is_allowed
        # Connections are not reused: the next request to an address may be for another host name.
        single_use = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx2.AsyncHTTPTransport(verify=tls or True, trust_env=False, limits=single_use)
        self._places, self._time = FairSemaphore(MAX_PARALLEL_FETCHES), VirtualTime()

    @classmethod
    def from_settings(cls, settings: Settings) -> "ImageFetcher | None":
        """The fetcher that the settings describe; None if they allow no URL.

        Raises:
            AllowListInvalid: URL_ALLOWLIST has an entry that is neither a host nor a URL prefix.
        """
        allowlist = AllowList.parse(settings.url_allowlist)
        if allowlist is None:
            return None
        return cls(allowlist, max_bytes=settings.max_body_bytes, timeout_s=settings.url_timeout_s)

    async def fetch_images(self, items: Sequence[Item], held: HeldBytes, bad_rows: BadRows) -> list[Item]:
        """Replace the URLs in items by the files that they name.

        Args:
            items: image items; those whose payload is not a URL stay as they are.
            held: bytes that the request holds; the fetched bytes are added.
            bad_rows: gets the error of each image that cannot be fetched.

        Returns:
            The items without those that cannot be fetched. If bad rows refuse the request, the items end before the
            first of these. Items after a URL that is not allowed are then not fetched.

        Raises:
            BodyTooLarge: the request and its images have more than `max_bytes`.
            QueueFull: the service has no room for the bytes.
        """
        targets = self._targets(items, bad_rows)
        flow = Flow(self._time)
        tasks = [
            (item, asyncio.create_task(self._fetch(item, target, flow.next_start_tag(), held)) if target else None)
            for item, target in targets
        ]
        done: list[Item] = []
        try:
            for item, task in tasks:
                try:
                    done.append(item if task is None else replace(item, payload=await task))
                except RowError as error:
                    if not bad_rows.add(error):
                        break
        finally:
            begun = [task for _, task in tasks if task is not None]
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)
        return done

    def _targets(self, items: Sequence[Item], bad_rows: BadRows) -> list[tuple[Item, Target | None]]:
        """The allowed items, each with its target, or None if it is not a URL, up to one that refuses the request."""
        targets: list[tuple[Item, Target | None]] = []
        for item in items:
            url = item.payload if isinstance(item.payload, str) and is_url(item.payload) else None
            try:
                targets.append((item, None if url is None else self._allowlist.target(url)))
            except UrlNotAllowed as error:
                if not bad_rows.add(RowError(item.row, "image", error)):
                    break
        return targets

    async def _fetch(self, item: Item, target: Target, start_tag: float, held: HeldBytes) -> bytes:
        async with self._places.place(start_tag):
            self._time.advance(start_tag)
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._follow(target, held)
            except InvalidInput as error:
                raise RowError(item.row, "image", error) from None
            except TimeoutError:
                late = UrlNotFetched(f"the image at the URL did not arrive within {self._timeout_s:g} seconds")
                raise RowError(item.row, "image", late) from None

    async def _follow(self, target: Target, held: HeldBytes) -> bytes:
        """The body at a target, after at most `MAX_REDIRECTS` redirects."""
        for _ in range(1 + MAX_REDIRECTS):
            response = await self._request(target)
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECT_STATUSES or location is None:
                    return await self._body(response, held)
                target = self._allowlist.target(target.redirect_url(location))
            except ValueError:
                raise UrlNotFetched("the URL of the image redirects to a location that is not a URL") from None
            finally:
                await response.aclose()
        raise UrlNotFetched(f"the URL of the image redirects more than {MAX_REDIRECTS} times")

    async def _request(self, target: Target) -> "httpx2.Response":
        """Send a request to the first address of the host that answers; the body of the answer is not read yet."""
        import httpx2

        addresses = (await self._checked_addresses(target))[:MAX_ADDRESSES]
        timeouts = {"connect": self._timeout_s / len(addresses)}  # a silent address leaves time for the others
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
        raise UrlNotFetched("the server in the URL of the image cannot be reached, or does not answer in HTTP")

    async def _checked_addresses(self, target: Target) -> Sequence[Address]:
        """The addresses of a target's host, if the fetcher may connect to all of them."""
        try:
            addresses = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise UrlNotFetched("the host in the URL of the image has no address")
        if not all(self._is_allowed(address) for address in addresses):
            raise UrlNotAllowed("the host in the URL of the image has an address that is not public")
        return addresses

    async def _body(self, response: "httpx2.Response", held: HeldBytes) -> bytes:
        import httpx2

        if response.status_code != httpx2.codes.OK:
            raise UrlNotFetched(f"the server in the URL of the image answered {response.status_code}, not 200")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UrlNotFetched("the server in the URL of the image compressed its answer, although it must not")
        declared_bytes = int(response.headers.get("content-length", 0))  # the HTTP parser refuses anything but a number
        self._check_size(declared_bytes)
        body = bytearray()  # a body may arrive byte by byte, and a list of such parts takes fifty times the memory
        try:
            async for part in response.aiter_raw():
                self._check_size(len(body) + len(part))
                self._hold(held, len(part))
                body += part
        except httpx2.HTTPError:
            raise UrlNotFetched("the server in the URL of the image broke off its answer") from None
        return bytes(body)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise ImageTooLarge(f"the image at the URL has more than {self._max_bytes:,} bytes, which is the limit")

    def _hold(self, held: HeldBytes, size_bytes: int) -> None:
        held.add(size_bytes)
        if held.size > self._max_bytes:
            raise BodyTooLarge(
                f"The request and the images at its URLs have together more than {self._max_bytes:,} bytes, which is "
                "the limit; send fewer rows at once."
            )

    async def stop(self) -> None:
        """Close the transport."""
        await self._transport.aclose()
