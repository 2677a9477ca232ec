"""Forms with image files, parsed as they arrive."""

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.api.bodies.slices import slices
from app.api.embed_job import check_row_count
from app.api.params import Params
from app.errors import ContentTypeUnsupported, RequestInvalid, TextTooLong, TooManyRows
from app.settings import Settings

MAX_FORM_FIELDS = 16
TEXT_FIELD = "text"
MAX_BYTES_PER_CHARACTER = 4  # of UTF-8
MAX_CONTENT_TYPE_CHARS = 1000  # parsing 64,000 would hold the event loop for 45 ms; a boundary has at most 70
_FILE_FIELDS = frozenset({"file", "files", "image", "images"})
# Other codecs of Python may need quadratic time, and Python keeps every unknown name that it looks up.
_CHARSETS = frozenset({"utf-8", "utf8", "ascii", "us-ascii", "iso-8859-1", "latin-1", "latin1"})


async def read_form(
    request: Request, settings: Settings, *, with_texts: bool, more_fields: int = 0
) -> tuple[list[bytes], list[tuple[str, str]]]:
    """The image files of a form, and the names and values of its fields.

    Args:
        request: the request.
        settings: the limits.
        with_texts: True reads fields named `text`, up to `max_rows`, and those named as a parameter of `/embed`.
        more_fields: number of fields that are read beyond `MAX_FORM_FIELDS` and the texts. Default: none.

    Raises:
        RequestInvalid: the form cannot be read, has no file and no text, or a field with another name.
        TooManyRows: the form has more files or fields than allowed.
        TextTooLong: the value of a field is too long.
        ContentTypeUnsupported: the form is not in UTF-8, or its content type is too long.
    """
    _check_content_type(request)
    max_fields = MAX_FORM_FIELDS + more_fields + (settings.max_rows if with_texts else 0)
    parser = MultiPartParser(
        request.headers,
        slices(request.stream()),
        max_files=settings.max_rows,
        max_fields=max_fields,
        max_part_size=MAX_BYTES_PER_CHARACTER * settings.max_text_chars,  # bounds only fields
    )
    parser.spool_max_size = settings.max_body_bytes  # images may show patients: none is written to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise TooManyRows(
                f"The form has more parts than the {settings.max_rows} files and {max_fields} fields that are allowed."
            ) from error
        if error.message.startswith("Part exceeded"):
            raise TextTooLong(
                f"A field of the form has more than the {settings.max_text_chars:,} characters that are allowed."
            ) from error
        raise RequestInvalid(
            "The form cannot be read as multipart/form-data with image files; leave the header content-type to the "
            "client, which puts the form's boundary into it."
        ) from error
    try:
        files, fields = _parts(form, with_texts=with_texts)
        texts = sum(name == TEXT_FIELD for name, _ in fields) if with_texts else 0
        check_row_count(max(len(files), texts), settings.max_rows)
        return [await file.read() for file in files], fields
    finally:
        await form.close()


def _check_content_type(request: Request) -> None:
    given = request.headers["content-type"]
    if len(given) > MAX_CONTENT_TYPE_CHARS:
        raise ContentTypeUnsupported(
            f"The content type has more than {MAX_CONTENT_TYPE_CHARS:,} characters; send multipart/form-data with a "
            "boundary."
        )
    charset = parse_options_header(given)[1].get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in _CHARSETS:
        raise ContentTypeUnsupported("The form's charset is not UTF-8; send UTF-8.")


def _parts(form: FormData, *, with_texts: bool) -> tuple[list[UploadFile], list[tuple[str, str]]]:
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    names = {name for name, _ in fields}
    named_as_files = sorted(names & _FILE_FIELDS)
    if named_as_files and (with_texts or not files):
        raise RequestInvalid(
            f'The form\'s field "{named_as_files[0]}" is a text, not a file; put @ before the name of the file, as in '
            "curl -F file=@scan.dcm."
        )
    if with_texts and not names <= {TEXT_FIELD, *Params.model_fields}:
        raise RequestInvalid(
            "The form has a field that is neither a file, nor named text, nor a parameter; send only these."
        )
    if not files and not (with_texts and TEXT_FIELD in names):
        missing = "neither a file nor a field named text" if with_texts else "no file"
        raise RequestInvalid(f"The form has {missing}; send one or more image files, as in curl -F file=@scan.dcm.")
    return files, fields
