"""What schemathesis does not know by itself: bodies and answers of one JSON object a line."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A line is enough: each is judged on its own."""
    if isinstance(value, bytes):
        return value
    return json.dumps(value).encode() + b"\n"


@schemathesis.deserializer("application/x-ndjson")
def first_line(ctx, response):
    """The schema is that of a line."""
    return json.loads(response.content.splitlines()[0])
