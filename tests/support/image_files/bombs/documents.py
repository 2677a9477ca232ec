"""JSON documents that are nested deep, or have very many parts."""

import json

from tests.support.samples import encoded, png, table

DOCUMENTS = {
    "lists in lists": b"[" * 1_000_000,
    "objects in objects": b'{"input_data":' * 200_000,
    "data URIs in data URIs": json.dumps(table(["image"], [["data:image/png;base64," * 50_000]])).encode(),
    "base64 of base64": json.dumps(table(["image"], [[encoded(encoded(encoded(png()).encode()).encode())]])).encode(),
    "a number without end": b'{"input_data": ' + b"9" * 1_000_000 + b"}",
    "a million columns": json.dumps(table(["text"] * 1_000_000, [])).encode(),
    "a column for every record": json.dumps({"dataframe_records": [{str(i): ""} for i in range(50_000)]}).encode(),
}
