"""Multipart forms, read as they arrive: capped and hashed on the way, spooled to disk, never held in memory.

FastAPI's own forms read the whole body before anything of ours runs; here nothing is read before the key was checked,
and reading stops at the first byte too many.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from varanger.api.gateway.spool import Spool, SpooledFile, TooLarge

FIELD_BYTES = 1 << 12


class MalformedForm(Exception):
    """Not a form we can read; the text names what is wrong with it."""


@dataclass(frozen=True)
class FormLimits:
    """How much one request may bring."""

    file_bytes: int
    body_bytes: int
    parts: int = 1000


@dataclass
class Form:
    """What a form held."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[SpooledFile] = field(default_factory=list)


OnField = Callable[[str, str], None]


async def spool_form(
    chunks: AsyncIterator[bytes],
    content_type: str | None,
    folder: Path,
    limits: FormLimits,
    *,
    on_field: OnField,
    file_field: str = "files",
) -> Form:
    """Read a multipart form; its files end in `folder`, which the caller removes whatever happens.

    `on_field` is called as soon as a plain field is complete and may raise to stop the reading.

    Raises:
        MalformedForm: no boundary, broken syntax, an unknown field, no file, or the end is missing.
        TooLarge: a limit was passed; nothing more was read.
    """
    reader = _FormReader(_boundary(content_type), folder, limits, file_field, on_field)
    received = 0
    try:
        async for chunk in chunks:
            received += len(chunk)
            if received > limits.body_bytes:
                raise TooLarge(f"the body is larger than {limits.body_bytes} bytes; send fewer files at once")
            await reader.feed(chunk)
        return reader.finish()
    finally:
        await reader.close()


def _boundary(content_type: str | None) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise MalformedForm(f"Content-Type is {content_type!r}; send multipart/form-data with the files as 'files'")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise MalformedForm("Content-Type: multipart/form-data has no boundary")
    return boundary


class _FormReader:
    """Turns the parser's callbacks, which cannot wait, into parts that are written as they come."""

    def __init__(self, boundary: bytes, folder: Path, limits: FormLimits, file_field: str, on_field: OnField) -> None:
        self._folder = folder
        self._limits = limits
        self._file_field = file_field
        self._on_field = on_field
        self._form = Form()
        self._parts = 0
        self._ended = False
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._part: Spool | _Field | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begin,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_text,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise MalformedForm(str(error)) from error
        self._spools: list[Spool] = []

    async def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedForm(f"the multipart body cannot be read: {error}") from error
        for spool in self._spools:
            await spool.advance()
        done = [spool for spool in self._spools if spool.complete]
        self._form.files.extend(spool.result() for spool in done)
        self._spools = [spool for spool in self._spools if not spool.complete]

    def finish(self) -> Form:
        if not self._ended:
            raise MalformedForm("the body ends before its closing boundary: the upload was cut")
        if not self._form.files:
            raise MalformedForm(f"the form has no file; send each as a part named {self._file_field!r} with a filename")
        return self._form

    async def close(self) -> None:
        for spool in self._spools:
            await spool.close()

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise TooLarge(f"the form has more than {self._limits.parts} parts; send fewer files at once")
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"").decode("latin-1")
        kind, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not name:
            raise MalformedForm(f"part {self._parts} has no Content-Disposition: form-data with a name")
        if b"filename" not in options:
            if name == self._file_field:
                raise MalformedForm(f"part {self._parts}, {name!r}, has no filename, so it is no file")
            self._part = _Field(name)
            return
        if name != self._file_field:
            raise MalformedForm(f"part {self._parts} is a file named {name!r}; files are sent as {self._file_field!r}")
        filename = options[b"filename"].decode("utf-8", "replace")
        spool = Spool(filename, self._folder / f"{self._parts:04d}", self._limits.file_bytes)
        self._spools.append(spool)
        self._part = spool

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.add(data[start:end])

    def _part_end(self) -> None:
        if isinstance(self._part, Spool):
            self._part.end()
        elif self._part is not None:
            text = self._part.text()
            self._form.fields[self._part.name] = text
            self._on_field(self._part.name, text)
        self._part = None

    def _end(self) -> None:
        self._ended = True


class _Field:
    """A plain field: a few words of text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._value = bytearray()

    def add(self, data: bytes) -> None:
        self._value += data
        if len(self._value) > FIELD_BYTES:
            raise TooLarge(f"the field {self.name!r} is longer than {FIELD_BYTES} bytes")

    def text(self) -> str:
        try:
            return self._value.decode()
        except UnicodeDecodeError as error:
            raise MalformedForm(f"the field {self.name!r} is not UTF-8") from error
