"""URLs that the operator's list allows."""

import pytest

from app.errors import UrlNotAllowed
from app.remote_images.allowlist import AllowList, AllowListInvalid

LIST = AllowList(
    [
        "images.example.org",
        "https://files.example.org/public/",
        "http://plain.example.org",
        "https://[2001:4860::8888]:8443/a/b",
    ]
)


@pytest.mark.parametrize(
    "url",
    [
        "https://images.example.org/",
        "https://images.example.org",
        "HTTPS://Images.Example.ORG:443/any/where.png?token=a/../b#fragment",
        "https://images.example.org/o/folder%2Fscan.dcm",
        "https://images.example.org/R%C3%B6ntgen%20thorax.png",
        "https://files.example.org/public/a.png",
        "https://files.example.org/public",
        "https://files.example.org/public//a...png",
        "http://plain.example.org:80/a",
        "https://[2001:4860::8888]:8443/a/b/c",
    ],
)
def test_a_url_of_an_entry_is_allowed(url: str) -> None:
    assert LIST.target(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.org/",
        "https://images.example.org.evil.example/",
        "https://evil.example/images.example.org",
        "https://images.example.org@evil.example/",
        "https://evil.example#@images.example.org/",
        "https://user:password@images.example.org/",
        "https://images.example.org\\@evil.example/",
        "https:\\\\images.example.org/",
        "https:///images.example.org/",
        "https://images.example.org:8443/",
        "https://images.example.org:0/",
        "https://images.example.org:99999/",
        "https://images.example.org./",
        "https://\u0131mages.example.org/",
        "https://images.example.org/\r\nHost: evil.example",
        "https://images.example.org/a b",
        "https://images.example.org/" + "a" * 8192,
        " https://images.example.org/",
        "http://images.example.org/",
        "ftp://images.example.org/",
        "file:///etc/passwd",
        "https://files.example.org/",
        "https://files.example.org/publicity",
        "https://files.example.org/Public/",
        "https://files.example.org/public%2Fa",
        "https://files.example.org//public/a",
        "https://files.example.org/public/../secret",
        "https://files.example.org/public/./a",
        "https://files.example.org/public/%2e%2E/secret",
        "https://files.example.org/public/%252e%252e/secret",
        "https://files.example.org/public/..%2fsecret",
        "https://files.example.org/public/..%5csecret",
        "https://files.example.org/public/..;a=b/secret",
        "https://files.example.org/public/%25252525252e",
        "https://files.example.org/public/%c0%ae%c0%ae/secret",
        "https://files.example.org/public/..%c0%afsecret",
        "https://files.example.org/public/..%00/secret",
        "https://files.example.org/public/.%09./secret",
        "https://files.example.org/public/..%20/secret",
        "https://plain.example.org/",
        "https://[2001:4860::8888]/a/b",
    ],
)
def test_any_other_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UrlNotAllowed) as error:
        LIST.target(url)
    assert "example" not in str(error.value)


@pytest.mark.parametrize(
    "entry",
    [
        "https://",
        "ftp://images.example.org",
        "images.example.org/a?b",
        "images.example.org/#a",
        "*.example.org",
        "user@images.example.org",
        "images..example.org",
        "https://images.example.org/a/../b",
        "https://images.example.org/%61",
        "images example",
        "images.example.org:port",
    ],
)
def test_a_bad_entry_is_named_by_its_number(entry: str) -> None:
    with pytest.raises(AllowListInvalid, match="entry 2 of URL_ALLOWLIST is neither a host nor a URL prefix"):
        AllowList.parse(f"images.example.org, {entry},")


def test_no_entry_allows_nothing_and_commas_are_a_mistake() -> None:
    assert AllowList.parse("") is None
    with pytest.raises(AllowListInvalid, match="holds no entry"):
        AllowList.parse(" , ")
