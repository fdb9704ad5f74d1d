"""Writes what others build against from the code: JSON Schema and AsyncAPI of the messages, OpenAPI of the gateway.

`python -m varanger.app.schemas` writes docs/schemas; `--check` fails where the committed files differ (CI runs it).
"""

import json
import sys
from pathlib import Path
from typing import Any

from varanger.api.gateway.app import openapi_document
from varanger.common import __version__, topology
from varanger.common.messages import MESSAGES, Envelope

FOLDER = Path("docs/schemas")


def documents() -> dict[str, dict[str, Any]]:
    """File name -> document."""
    return {"messages.schema.json": message_schemas(), "asyncapi.json": asyncapi(), "openapi.json": openapi_document()}


def message_schemas() -> dict[str, Any]:
    """JSON Schema of every message's payload, and of the envelope around it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "envelope": Envelope.model_json_schema(),
        "messages": {message.TYPE: message.model_json_schema() for message in MESSAGES},
    }


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0: one channel per queue, with the messages bound to it."""
    messages = {
        message.TYPE: {
            "name": message.TYPE,
            "summary": (message.__doc__ or "").splitlines()[0],
            "payload": {"$ref": f"messages.schema.json#/messages/{message.TYPE}"},
        }
        for message in MESSAGES
    }
    channels = {
        queue.name: {
            "address": queue.name,
            "description": f"quorum queue bound to exchange {topology.EXCHANGE!r} by {', '.join(queue.binds)}",
            "messages": {
                kind: {"$ref": f"#/components/messages/{kind}"}
                for kind in dict.fromkeys(bind.rsplit(".", 1)[0] for bind in queue.binds)
            },
        }
        for queue in topology.QUEUES
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Varanger messages", "version": __version__},
        "channels": channels,
        "components": {"messages": messages},
    }


def main() -> int:
    """Write or check; the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, document in documents().items():
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale and check:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `make schemas` and commit\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
