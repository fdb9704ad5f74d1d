"""Ask each service one real question in its own protocol, with the standard library alone.

A port that accepts connections proves little: the wrong program may listen there, or refuse the login. Every
probe logs in as the tests will, and returns None when all is well, else the reason in words.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import re
import secrets
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Callable

from local_services.address import Address

TIMEOUT_SECONDS = 5.0


class ProbeError(Exception):
    """The service answered, but not as it should."""


def rabbitmq(address: Address) -> str | None:
    """Log in over AMQP 0-9-1 and open the virtual host."""
    return _reason(_ask_rabbitmq, address)


def postgresql(address: Address) -> str | None:
    """Log in and see that the role may create databases."""
    return _reason(_ask_postgresql, address)


def object_store(address: Address) -> str | None:
    """List the buckets with a signed request."""
    return _reason(_ask_object_store, address)


def triton(address: Address) -> str | None:
    """Call gRPC's ServerLive; while it loads a model a server may call itself not ready, and be well."""
    return _reason(_ask_triton, address)


def _reason(ask: Callable[[Address], None], address: Address) -> str | None:
    try:
        ask(address)
    except ProbeError as error:
        return str(error)
    except (OSError, EOFError, struct.error) as error:
        return str(error) or type(error).__name__
    return None


def _connect(address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout=TIMEOUT_SECONDS)


def _receive(connection: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes.

    Raises:
        EOFError: the other side closed the connection.
    """
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("the connection was closed before an answer came")
        data += part
    return data


# RabbitMQ: AMQP 0-9-1 methods are (class, method); 10 is `connection`


def _ask_rabbitmq(address: Address) -> None:
    with _connect(address) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        _amqp_expect(connection, 10)  # start
        login = f"\0{address.user}\0{address.password}".encode()
        empty_table = struct.pack(">I", 0)
        answer = empty_table + _short(b"PLAIN") + struct.pack(">I", len(login)) + login + _short(b"en_US")
        _amqp_send(connection, 11, answer)  # start-ok
        try:
            tune = _amqp_expect(connection, 30)
        except (EOFError, ConnectionError) as error:
            raise ProbeError(f"the broker refused the login of {address.user!r}") from error
        _amqp_send(connection, 31, tune)  # tune-ok, with the broker's own values
        # An AMQP path is one percent-encoded name, and an empty one (".../") means "/" to most clients.
        virtual_host = address.path.replace("%2F", "/").replace("%2f", "/") or "/"
        _amqp_send(connection, 40, _short(virtual_host.encode()) + b"\x00\x00")  # open
        _amqp_expect(connection, 41)  # open-ok
        farewell = struct.pack(">H", 200) + _short(b"bye") + struct.pack(">HH", 0, 0)
        _amqp_send(connection, 50, farewell)  # close
        _amqp_expect(connection, 51)


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _amqp_send(connection: socket.socket, method: int, arguments: bytes) -> None:
    payload = struct.pack(">HH", 10, method) + arguments
    connection.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")


def _amqp_expect(connection: socket.socket, method: int) -> bytes:
    head = _receive(connection, 7)
    if head.startswith(b"AMQP"):
        raise ProbeError("the broker does not speak AMQP 0-9-1")
    kind, _channel, size = struct.unpack(">BHI", head)
    if kind != 1 or size > 1_000_000:
        raise ProbeError("what listens there does not speak AMQP")
    payload = _receive(connection, size + 1)[:-1]
    found = struct.unpack(">HH", payload[:4])
    if found != (10, method):
        told = payload[7 : 7 + payload[6]].decode(errors="replace") if found == (10, 50) else str(found)
        raise ProbeError(f"the broker answered: {told}")
    return payload[4:]


# PostgreSQL: protocol 3.0


def _ask_postgresql(address: Address) -> None:
    role = address.user or "postgres"
    database = address.path or role
    with _connect(address) as connection:
        words = b"".join(w.encode() + b"\0" for w in ("user", role, "database", database)) + b"\0"
        connection.sendall(struct.pack(">II", len(words) + 8, 196_608) + words)
        _postgresql_login(connection, role, address.password)
        _postgresql_until(connection, b"Z")
        query = b"SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user\0"
        _postgresql_send(connection, b"Q", query)
        row = _postgresql_until(connection, b"D")
        if row[6:7] != b"t":
            raise ProbeError(f"the role {role!r} may not create databases")
        _postgresql_send(connection, b"X", b"")


def _postgresql_send(connection: socket.socket, kind: bytes, body: bytes) -> None:
    connection.sendall(kind + struct.pack(">I", len(body) + 4) + body)


def _postgresql_message(connection: socket.socket) -> tuple[bytes, bytes]:
    kind, size = struct.unpack(">cI", _receive(connection, 5))
    if size > 1_000_000:
        raise ProbeError("what listens there does not speak PostgreSQL's protocol")
    body = _receive(connection, size - 4)
    if kind == b"E":
        fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
        raise ProbeError(fields.get(b"M", "the server answered with an error"))
    return kind, body


def _postgresql_until(connection: socket.socket, wanted: bytes) -> bytes:
    while True:
        kind, body = _postgresql_message(connection)
        if kind == wanted:
            return body


def _postgresql_login(connection: socket.socket, role: str, password: str) -> None:
    body = _postgresql_until(connection, b"R")
    way = struct.unpack(">I", body[:4])[0]
    if way == 0:
        return
    if not password:
        raise ProbeError(f"the server asks for a password for {role!r} and the URL holds none")
    if way == 3:
        _postgresql_send(connection, b"p", password.encode() + b"\0")
    elif way == 5:
        inner = hashlib.md5((password + role).encode()).hexdigest().encode()
        answer = "md5" + hashlib.md5(inner + body[4:8]).hexdigest()
        _postgresql_send(connection, b"p", answer.encode() + b"\0")
    elif way == 10:
        _postgresql_scram(connection, password)
    else:
        raise ProbeError(f"the server asks for a login this probe does not know (kind {way})")
    _postgresql_until(connection, b"R")


def _postgresql_scram(connection: socket.socket, password: str) -> None:
    """SCRAM-SHA-256 (RFC 5802 and 7677) without channel binding."""
    nonce = secrets.token_urlsafe(18)
    bare = f"n=,r={nonce}"
    first = f"n,,{bare}".encode()
    _postgresql_send(connection, b"p", b"SCRAM-SHA-256\0" + struct.pack(">I", len(first)) + first)
    told = _postgresql_until(connection, b"R")[4:].decode()
    found = re.fullmatch(r"r=([^,]+),s=([^,]+),i=(\d+)", told)
    if found is None:
        raise ProbeError("the server's login challenge could not be read")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(found[2]), int(found[3]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c=biws,r={found[1]}"
    signature = hmac.digest(hashlib.sha256(client_key).digest(), f"{bare},{told},{final}".encode(), "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    _postgresql_send(connection, b"p", f"{final},p={base64.b64encode(proof).decode()}".encode())
    _postgresql_until(connection, b"R")


# Object store: one signed GET / (AWS signature version 4)


def _ask_object_store(address: Address) -> None:
    scheme = address.scheme or "http"
    request = urllib.request.Request(f"{scheme}://{address.host}:{address.port}/")
    for name, value in signed_headers(address, datetime.datetime.now(datetime.UTC)).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            answer = response.read(2_000_000)
    except urllib.error.HTTPError as error:
        raise ProbeError(f"the store answered {error.code} to a signed request") from error
    except urllib.error.URLError as error:
        raise ProbeError(str(error.reason)) from error
    if b"ListAllMyBucketsResult" not in answer:
        raise ProbeError("what listens there does not answer as S3 does")


def signed_headers(address: Address, now: datetime.datetime) -> dict[str, str]:
    """The headers of an empty, signed `GET /` (AWS signature version 4, region us-east-1)."""
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    empty = hashlib.sha256(b"").hexdigest()
    host = f"{address.host}:{address.port}"
    canonical = f"GET\n/\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n\n"
    canonical += f"host;x-amz-content-sha256;x-amz-date\n{empty}"
    scope = f"{day}/us-east-1/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{address.password}".encode()
    for word in (day, "us-east-1", "s3", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"Credential={address.user}/{scope}"
    signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date"
    return {
        "Host": host,
        "X-Amz-Date": stamp,
        "X-Amz-Content-Sha256": empty,
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, {signed}, Signature={signature}",
    }


# Triton: one gRPC call over bare HTTP/2


def _ask_triton(address: Address) -> None:
    with _connect(address) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _http2_frame(4, 0, 0, b""))
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": "/inference.GRPCInferenceService/ServerLive",
            ":authority": f"{address.host}:{address.port}",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        # HPACK "literal without indexing, new name": nothing to compress, nothing to remember.
        block = b"".join(b"\0" + _short(k.encode()) + _short(v.encode()) for k, v in fields.items())
        connection.sendall(_http2_frame(1, 4, 1, block) + _http2_frame(0, 1, 1, b"\0\0\0\0\0"))
        answer = b""
        while len(answer) < 7:
            size, kind, flags, stream = _http2_head(connection)
            body = _receive(connection, size)
            if kind == 4 and not flags & 1:
                connection.sendall(_http2_frame(4, 1, 0, b""))
            if kind == 0 and stream == 1:
                answer += body
            if kind in {3, 7} or (stream == 1 and flags & 1 and kind in {0, 1} and len(answer) < 7):
                raise ProbeError("Triton does not say it is alive")
        if answer[5:7] != b"\x08\x01":  # protobuf: field 1 (live) = true
            raise ProbeError("Triton says it is not alive")


def _http2_frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def _http2_head(connection: socket.socket) -> tuple[int, int, int, int]:
    head = _receive(connection, 9)
    size = int.from_bytes(head[:3], "big")
    kind, flags, stream = struct.unpack(">BBI", head[3:])
    if size > 1_000_000 or kind > 9:
        raise ProbeError("what listens there does not speak gRPC")
    return size, kind, flags, stream
