"""A page in the browser: drop an image, see its mask. A thin program hands images to one server, and to no other.

It listens on 127.0.0.1 unless another address is named, answers no request that names another host or comes from
another page, and takes files up to a limit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from kseg.errors import ConfigError, DataError, EnvironmentFailure, KsegError, ServingError
from kseg.pictures import palette
from kseg.serving.client import Client

if TYPE_CHECKING:
    from flask import Flask

MOST_BYTES = 50_000_000  # of an image's file
LOCAL = ("127.0.0.1", "localhost")


def application(
    server: str,
    model: str,
    *,
    hosts: tuple[str, ...] = LOCAL,
    classes: str | Path | None = None,
    most_bytes: int = MOST_BYTES,
    timeout: float = 60.0,
) -> Flask:
    """The program as a WSGI application.

    Args:
      server: the address of TensorFlow Serving, as `kseg.serving.Client` takes it.
      model: the model's name there.
      hosts: the names by which a browser may call the page.
      classes: assets/classes.json of the bundle, for names and colours; None for numbers and VOC's colours.
      most_bytes: the largest file of an image.
      timeout: of a try to reach the server, seconds.

    Raises:
      EnvironmentFailure: Flask is not installed.
      DataError: `classes` is no such file.
    """
    flask, client, page = _flask(), Client(server, timeout=timeout), _page(model, classes, most_bytes)
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made = flask.Flask("kseg.page", static_folder=None)
    made.config["MAX_CONTENT_LENGTH"] = most_bytes

    def refuse(status: int, text: str) -> Any:
        return flask.make_response(flask.jsonify(error=text), status)

    @made.before_request
    def check() -> Any:
        """Refuses other hosts, which a page that names them in the DNS would use, and other pages' requests."""
        called, origin = _place(f"http://{flask.request.host}"), flask.request.headers.get("Origin")
        if called is None or called[0] not in hosts:
            return refuse(403, "This page is not served under that name.")
        if origin is not None and _place(origin) != called:
            return refuse(403, "A request from another page.")
        return None

    @made.after_request
    def shield(answer: Any) -> Any:
        answer.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
            "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @made.get("/")
    def show() -> Any:
        return page

    @made.post("/predict")
    def predict() -> Any:
        start = time.perf_counter()
        try:
            (found,) = client.predict(model, [flask.request.get_data()])
        except ServingError as error:
            return refuse(502, str(error))
        except KsegError as error:
            return refuse(400, str(error))
        masks = {f"mask_{head}": mask for head, mask in found.items()} if isinstance(found, dict) else {"mask": found}
        return {
            "seconds": time.perf_counter() - start,
            "masks": {name: _packed(mask) for name, mask in masks.items()},
        }

    @made.errorhandler(Exception)
    def failed(error: Exception) -> Any:
        return refuse(getattr(error, "code", None) or 500, getattr(error, "description", None) or "It failed.")

    return made


def serve(
    server: str, model: str, *, host: str = "127.0.0.1", port: int = 8080, classes: str | Path | None = None
) -> Iterator[str]:
    """Serves the page: gives its address once it is open, and ends when it is interrupted.

    Args:
      server, model, classes: as in `application`.
      host, port: where it listens; 0 for a free port.

    Raises:
      EnvironmentFailure: Flask or waitress is not installed, or the port is taken.
    """
    made = application(server, model, hosts=(*LOCAL, host), classes=classes)
    try:
        import waitress
    except ModuleNotFoundError as error:
        raise EnvironmentFailure("waitress is not installed.", "pip install 'kseg[page]'") from error
    try:
        running = waitress.create_server(
            made, host=host, port=port, threads=4, max_request_body_size=MOST_BYTES, ident=None
        )
    except OSError as error:
        raise EnvironmentFailure(
            f"{host}:{port}: can't listen there ({error.strerror}).", "Name another --port."
        ) from error
    yield f"http://{'localhost' if host in LOCAL else host}:{running.effective_port}/"
    running.run()


def _place(address: str) -> tuple[str, int] | None:
    """The host and the port of an http address; None where it is none."""
    try:
        parts = urlsplit(address)
        return (parts.hostname, parts.port or 80) if parts.scheme == "http" and parts.hostname else None
    except ValueError:
        return None


def _flask() -> Any:
    try:
        import flask
    except ModuleNotFoundError as error:
        raise EnvironmentFailure("Flask is not installed.", "pip install 'kseg[page]'") from error
    return flask


def _page(model: str, classes: str | Path | None, most_bytes: int) -> str:
    """The page with what it must know."""
    facts = {
        "model": model,
        "classes": _classes(classes),
        "palette": palette().tolist(),
        "most_bytes": most_bytes,
    }
    # As a string of JavaScript in which nothing can end the script.
    text = json.dumps(json.dumps(facts))[1:-1].replace("<", "\\u003c").replace("\u2028", "").replace("\u2029", "")
    html = resources.files("kseg.serving").joinpath("page.html").read_text(encoding="utf-8")
    return html.replace("__FACTS__", text)


def _classes(file: str | Path | None) -> dict[str, list[dict[str, Any]]]:
    """The classes of each mask, as a bundle has them."""
    if file is None:
        return {}
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        return {
            str(mask): [
                {"id": int(each["id"]), "name": str(each["name"]), "colour": [int(part) for part in each["colour"]][:3]}
                for each in classes
            ]
            for mask, classes in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: not the classes of a bundle.", "Name its assets/classes.json.") from error


def _packed(mask: np.ndarray) -> dict[str, Any]:
    """A mask for the browser: its numbers, compressed, and its PNG."""
    bits = 8 if mask.dtype == np.uint8 else 32
    done, png = cv2.imencode(".png", mask if bits == 8 else mask.astype(np.uint16))
    if not done:
        raise ConfigError("The mask can't be written as a PNG.")
    return {
        "height": mask.shape[0],
        "width": mask.shape[1],
        "bits": bits,
        "ids": base64.b64encode(zlib.compress(np.ascontiguousarray(mask).tobytes(), 1)).decode(),
        "png": base64.b64encode(png.tobytes()).decode(),
    }
