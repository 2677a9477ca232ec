"""`python check_page.py URL [CA]`: a browser gets the page at URL, and every file that it names.

CA is the file of the authority that signed the certificate. The script needs only Python, so that it runs in the image.
"""

import re
import ssl
import sys
import urllib.error
import urllib.request
from urllib.parse import urljoin

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
TIMEOUT_S = 30
LINKED = re.compile(r'(?:\b(?:href|src)=|\bfrom |\bimport |\burl\()"([^"]+)"')
FETCHED = re.compile(r'"(web/[\w./-]+\.\w+)"')  # by a script, relative to the page
LISTED = re.compile(r'"([\w-]+\.\w+)"')  # in the JSON list of the examples


def named(page: str, address: str, text: str) -> set[str]:
    """The URLs of the files under /web/ that the text at an address names."""
    names = LISTED.findall(text) if address.endswith(".json") else LINKED.findall(text)
    urls = {urljoin(address, name) for name in names} | {urljoin(page, name) for name in FETCHED.findall(text)}
    return {url for url in urls if url.startswith(f"{page}web/")}


def check(url: str, context: ssl.SSLContext | None = None) -> list[str]:
    """Get the page and, one after the other, the files under /web/ that it, its scripts and its styles name.

    Returns their URLs, sorted. Raises AssertionError for a wrong page and for a file that is not answered with 200.
    """
    proxies = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=context))

    def read(address: str) -> tuple[str, str]:
        try:
            with opener.open(urllib.request.Request(address, headers=BROWSER), timeout=TIMEOUT_S) as answer:
                return answer.read().decode("latin-1"), answer.headers.get("content-security-policy", "")
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{address} was answered with {refusal.code}") from None

    page = f"{url}/"
    text, policy = read(page)
    assert "<html" in text, text[:100]
    assert "script-src 'self'" in policy, policy
    found, waiting = set[str](), named(page, page, text)
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= named(page, file, read(file)[0]) - found
    assert any(file.endswith(".js") for file in found), found
    return sorted(found)


def main(url: str, authority: str | None = None) -> None:
    files = check(url, ssl.create_default_context(cafile=authority) if authority else None)
    print(f"the page and its {len(files)} files were answered")


if __name__ == "__main__":
    main(*sys.argv[1:])
