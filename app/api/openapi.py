"""The OpenAPI document: what FastAPI finds in the routes, with the shapes that handlers read by themselves added."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from app.api import number_schemas, schemas
from app.runtime.settings import Settings

TITLE = "Dial-to-SIP"
DESCRIPTION = (
    "One HTTP request places a SIP call, and every event of that call reaches your webhook.\n\n"
    "Authorize with the account's sid as user name and its token as password."
)
TAGS = [
    {"name": "Dials", "description": "Place calls."},
    {"name": "Calls", "description": "What became of them."},
    {"name": "Numbers", "description": "What answers inbound calls."},
    {"name": "Recordings", "description": "What was said."},
    {"name": "Deliveries", "description": "What your application was told, and when."},
    {"name": "Running it", "description": "Health and numbers."},
]
# Shapes that only a request body or a problem has; FastAPI finds those of the answers by itself.
_MODELS = (
    schemas.DialRequest,
    schemas.UpdateCall,
    schemas.ReplayFilter,
    schemas.Problem,
    number_schemas.NewNumber,
    number_schemas.NumberChanges,
)


def document(app: FastAPI, root_path: str = "") -> dict[str, Any]:
    """The whole document as plain values."""
    found = get_openapi(
        title=TITLE,
        version=_version(),
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        servers=[{"url": root_path or "/"}],
        license_info={"name": "GPL-3.0-only", "identifier": "GPL-3.0-only"},
    )
    _, definitions = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    components = found.setdefault("components", {})
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **definitions["$defs"]}.items()))
    _put_examples(found, app)
    components["securitySchemes"] = {
        "account": {"type": "http", "scheme": "basic", "description": "AccountSid and AuthToken"}
    }
    found["security"] = [{"account": []}]
    return found


def _put_examples(found: dict[str, Any], app: FastAPI) -> None:
    """FastAPI leaves out what is null, also in examples, where it belongs to the answer."""
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for status, answer in route.responses.items():
            for media_type, content in answer.get("content", {}).items():
                if "example" in content:
                    for method in route.methods or ():
                        written = found["paths"][route.path_format][method.lower()]["responses"][str(status)]
                        written["content"][media_type]["example"] = content["example"]


def render(settings: Settings) -> str:
    """The document as it is committed; needs no database."""
    from app.api.app import describe

    return json.dumps(document(describe(), settings.root_path), indent=2, ensure_ascii=False) + "\n"


def _version() -> str:
    try:
        return version("dial-to-sip")
    except PackageNotFoundError:
        return "0.1.0"


if __name__ == "__main__":
    sys.stdout.write(render(Settings()))
