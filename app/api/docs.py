"""``/docs``: Swagger UI from the installed package (no CDN), and the page that explains every error code."""

import sys
from html import escape
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from app.calls.errors import NotFound
from app.rcml.codes import EXPLAINED

# Nothing from elsewhere; Swagger UI sets styles and draws its icons as data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_CACHED = {**_HEADERS, "Cache-Control": "public, max-age=86400"}
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}

# Addresses are relative to the page, so that it works behind whatever prefix a proxy takes away.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dial-to-SIP API</title>
<link rel="stylesheet" href="docs/static/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/static/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/static/swagger-ui-bundle.js"></script>
<script src="docs/static/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  tryItOutEnabled: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "h2{font-size:1rem;margin:1.5rem 0 0;font-family:ui-monospace,monospace}"
    "p{margin:.2rem 0}:target{background:#fff3c4}.status{color:#666;font-weight:normal}"
)


def add_routes(router: APIRouter) -> None:
    folder = _folder()

    @router.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers=_HEADERS)

    @router.get("/docs/static/{name}", include_in_schema=False)
    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "start.js":
            return Response(_START, headers=_HEADERS, media_type="text/javascript")
        if name not in _FILES:
            raise NotFound(name)
        return FileResponse(folder / name, headers=_CACHED, media_type=_FILES[name])

    @router.get("/docs/errors", include_in_schema=False)
    async def errors(request: Request) -> Response:
        return HTMLResponse(_ERRORS, headers=_HEADERS)


def errors_markdown() -> str:
    """``docs/errors.md``: the same table for readers of the repository."""
    lines = [
        "# Error codes",
        "",
        "Every answer that is not a success is `application/problem+json` (RFC 9457). `errors` lists every problem",
        "found, each with a `code` of this page, a `detail` that names the field and the remedy, and its place:",
        "`pointer` (RFC 6901) in JSON, `line` and `column` in the RCML as it was sent. `type` leads to the same",
        "table in a running service, `/docs/errors#code`. A code is never renamed; the status is the one that it",
        "leads to when it is alone.",
        "",
        "| code | status | meaning | remedy |",
        "|---|---|---|---|",
    ]
    for code, known in EXPLAINED.items():
        meaning, remedy = (text.replace("&", "&amp;").replace("<", "&lt;") for text in (known.meaning, known.remedy))
        lines.append(f'| <a id="{code}"></a>`{code}` | {known.status} | {meaning} | {remedy} |')
    return "\n".join(lines) + "\n"


def _folder() -> Path:
    """Where fastapi-offline keeps Swagger UI; its own routes are not used, so it is not imported."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("fastapi-offline is not installed")
    return Path(spec.origin).parent / "static"


def _error_page() -> str:
    entries = "".join(
        f'<h2 id="{code}">{code} <span class="status">{known.status} {HTTPStatus(known.status).phrase}</span></h2>'
        f"<p>{escape(known.meaning)}</p><p><b>Remedy:</b> {escape(known.remedy)}</p>"
        for code, known in EXPLAINED.items()
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Dial-to-SIP error codes</title>'
        f"<style>{_STYLE}</style></head><body><h1>Error codes</h1>"
        "<p>Every problem has a code that is never renamed. The status is the one that the code alone leads to.</p>"
        f"{entries}</body></html>"
    )


_ERRORS = _error_page()


if __name__ == "__main__":
    sys.stdout.write(errors_markdown())
