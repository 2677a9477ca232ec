"""A small HTTP server on loopback with byte-exact answers, also invalid ones, and a fetcher that may reach it."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.remote_images.addresses import Address
from app.remote_images.allowlist import AllowList
from app.remote_images.fetcher import ImageFetcher
from tests.support.samples import png

HOST = "images.test"
MAX_BYTES = 100_000
LOOPBACK = ip_address("127.0.0.1")
ENDLESS, SILENT = b"(a body without end)", b"(no answer)"


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A valid answer. Underscores in the names of `headers` become dashes."""
    fields = {"content_length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(b"", status, location=location)


ANSWERS = {
    "/a.png": answer(png(1)),
    "/b.png": answer(png(2)),
    "/moved": redirect("/b.png", "301 Moved Permanently"),
    "/loop": redirect("/loop"),
    "/slow": SILENT,
    "/endless": ENDLESS,
    "/declared": answer(b"", content_length=str(MAX_BYTES + 1)),
    "/absurd": answer(b"", content_length="9" * 5000),
    "/cut": answer(png(1), content_length=str(len(png(1)) + 1)),
    "/gzip": answer(png(1), content_encoding="gzip"),
    "/broken": b"no HTTP at all\r\n\r\n",
    "/failing": answer(b"Q7patientQ7", "500 Q7patientQ7"),
    "/large": answer(bytes(60_000)),
}


class PictureServer:
    """Answers by path, and the heads of the requests received so far."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self.answers = dict(answers)
        self.heads: list[str] = []
        self.port = 0

    @property
    def paths(self) -> list[str]:
        """The requested paths with their queries, in order."""
        return [head.split(" ")[1] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        body = self.answers.get(head.split(" ")[1].partition("?")[0], answer(b"", "404 Not Found"))
        try:
            if body == SILENT:
                await reader.read()  # returns when the client closes the connection
            elif body == ENDLESS:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(bytes(65536))
                    await writer.drain()
            else:
                writer.write(body)
                await writer.drain()
        except ConnectionError:
            pass  # the client closed the connection
        finally:
            writer.close()


@asynccontextmanager
async def picture_server(
    answers: Mapping[str, bytes], tls: ssl.SSLContext | None = None
) -> AsyncIterator[PictureServer]:
    server = PictureServer(answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


async def to_loopback(host: str, port: int) -> list[Address]:
    """Resolve every host to loopback."""
    return [LOOPBACK]


def fetcher(port: int, **options: Any) -> ImageFetcher:
    """A fetcher that may connect to loopback."""
    defaults: dict[str, Any] = {"resolve": to_loopback, "is_allowed": LOOPBACK.__eq__, "timeout_s": 5.0}
    allowlist = AllowList([f"http://{HOST}:{port}", f"https://{HOST}:{port}"])
    return ImageFetcher(allowlist, max_bytes=MAX_BYTES, **(defaults | options))


def certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS contexts of a server for the host `name` and of a client that trusts its certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    signed = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(secret + signed)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=signed.decode())
