"""TLS before a service that has none: an authority of the test's own, and a server in front that ends TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

import hpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST: Final = "127.0.0.1"
# What a client of PostgreSQL sends before TLS, and what the server says to it.
SSL_REQUEST: Final = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS: Final = 1
# Python 3.13 takes certificates only as RFC 5280 has them: with what a key is for, and whose key signed.
_SIGNS: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates; whoever trusts `path` trusts them."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    path: Path

    @classmethod
    def made(cls, folder: Path, name: str = "authority") -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        alone = x509.BasicConstraints(ca=True, path_length=0)
        certificate = (
            _begun(subject, subject, key)
            .add_extension(alone, critical=True)
            .add_extension(_SIGNS, critical=True)
        )
        path = folder / f"{name}.pem"
        path.write_bytes(_pem(certificate.sign(key, hashes.SHA256())))
        return cls(folder, name, key, path)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for this machine's loopback and `name`, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address(HOST))])
        signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            _begun(subject, issuer, key)
            .add_extension(names, critical=False)
            .add_extension(signed_by, critical=False)
        )
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(_pem(certificate.sign(self.key, hashes.SHA256())))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    def server(self, name: str = "localhost", *, clients: Path | None = None) -> ssl.SSLContext:
        """A server's side. With `clients` only those with a certificate of that authority get in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name))
        context.set_alpn_protocols(["h2"])  # what gRPC asks for; nobody else asks
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        return context


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Front:
    """A server with TLS before a service without. `heard` has what each client sent, in plain."""

    service: tuple[str, int]
    context: ssl.SSLContext
    is_postgres: bool = False
    port: int = 0
    heard: list[bytearray] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.is_postgres:
                await self._agree_on_tls(reader, writer)
            far_reader, far_writer = await asyncio.open_connection(*self.service)
        except (OSError, asyncio.IncompleteReadError):  # a client that does not trust us, for instance
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        self.heard.append(heard := bytearray())
        await asyncio.gather(_pump(reader, far_writer, heard), _pump(far_reader, writer, bytearray()))

    async def _agree_on_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
            raise ConnectionError("not TLS")
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(self.context)

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def tls_before(
    host: str, port: int, context: ssl.SSLContext, *, is_postgres: bool = False
) -> AsyncIterator[Front]:
    """TLS at a port of its own while the block runs. PostgreSQL's begins with a word in plain."""
    front = Front((host, port), context, is_postgres)
    server = await asyncio.start_server(front.connected, HOST, 0, ssl=None if is_postgres else context)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
        front.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, heard: bytearray) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            heard += data
            sink.write(data)
            await sink.drain()
    sink.transport.abort()


def headers_sent(heard: bytes) -> list[tuple[str, str]]:
    """Every header of the requests of one HTTP/2 connection, from its first byte on."""
    assert heard.startswith(HTTP2_PREFACE)
    decoder, at, found = hpack.Decoder(), len(HTTP2_PREFACE), []
    while at + 9 <= len(heard):
        length, kind, flags = int.from_bytes(heard[at : at + 3], "big"), heard[at + 3], heard[at + 4]
        frame = heard[at + 9 : at + 9 + length]
        at += 9 + length
        if kind == HEADERS and len(frame) == length:
            assert not flags & 0x28, "neither padded nor with a priority, as the client sends them"
            found += [(str(name), str(value)) for name, value in decoder.decode(bytes(frame))]
    return found
