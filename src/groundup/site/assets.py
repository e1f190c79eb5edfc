"""The static files: read once and looked up by name. No path of a request reaches the file system."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

FOLDER = Path(__file__).parent / "static"
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One static file."""

    content: bytes
    kind: str
    tag: str


class Assets:
    """Everything in `static/`, and the Plotly.js that the `plotly` package carries (located without importing it)."""

    def __init__(self) -> None:
        self.files = {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in KINDS}
        spec = find_spec("plotly")
        if spec is None or spec.origin is None:
            raise RuntimeError("the plotly package, a dependency of groundup, is not installed")
        self.plotly = Path(spec.origin).parent / "package_data" / "plotly.min.js"
        self.plotly_tag = str(int(self.plotly.stat().st_mtime))

    @property
    def plotly_url(self) -> str:
        """The address of Plotly.js."""
        return f"/static/plotly.min.js?v={self.plotly_tag}"

    def url(self, name: str) -> str:
        """The address of a file, which changes when its content does."""
        return f"/static/{name}?v={self.files[name].tag}"

    def answer(self, request: Request) -> Response:
        """The file that the request asks for. Raises HTTPException 404."""
        name = request.path_params["name"]
        if name == "plotly.min.js":
            return FileResponse(self.plotly, media_type="text/javascript", headers=_caching(request, self.plotly_tag))
        if name not in self.files:
            raise HTTPException(404, f"There is no static file called '{name}'.")
        asset = self.files[name]
        headers = {"etag": f'"{asset.tag}"', **_caching(request, asset.tag)}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.kind, headers=headers)


def _caching(request: Request, tag: str) -> dict[str, str]:
    # Modules import each other without the tag: those are asked for again, and mostly answered "not modified".
    fixed = request.query_params.get("v") == tag
    return {"cache-control": "max-age=31536000, immutable" if fixed else "no-cache"}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, KINDS[path.suffix], sha256(content).hexdigest()[:12])
