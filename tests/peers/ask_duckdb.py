"""Runs SQL in DuckDB: statements as a JSON list on standard input, what each says as JSON on standard output."""

import json
import sys
import uuid

import duckdb

database = duckdb.connect()
database.execute("set timezone = 'UTC'")


def plain(value):
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, uuid.UUID):
        return str(value)
    return repr(value)


out = []
for statement in json.load(sys.stdin):
    said = database.execute(statement)
    columns = [[c[0], str(c[1])] for c in said.description or []]
    rows = [[plain(v) for v in row] for row in said.fetchall()]
    out.append({"columns": columns, "rows": rows})
json.dump(out, sys.stdout)
