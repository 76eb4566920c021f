"""Asks a server for masks, over REST or gRPC. It imports no TensorFlow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

import cv2
import imagecodecs
import numpy as np

from kseg.errors import ConfigError, KsegError
from kseg.images import read_image
from kseg.images.read import check_file
from kseg.serving.answers import BadAnswer, NotServed, Refused
from kseg.serving.asked import Asked, Limits

Image = str | Path | bytes | np.ndarray
Images = Image | Mapping[str, Image]
_PASSED_ON = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # the beginnings of the files that a bundle decodes itself
BYTES, MASK = "image_bytes", "serving_default"


class _Server(Protocol):
    def predict(
        self, asked: Asked, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]: ...

    def status(self, asked: Asked) -> list[dict[str, Any]]: ...

    def signatures(self, asked: Asked) -> dict[str, dict[str, dict[str, str]]]: ...

    def close(self) -> None: ...


class Client:
    """A TensorFlow Serving server that serves bundles of kseg.

    Connections are kept and used again; several threads may use one client. Busy servers (429, 503, UNAVAILABLE,
    RESOURCE_EXHAUSTED) and lost connections are tried again, after waits that grow.

    Args:
      url: http://HOST:8501 or https:// for REST, grpc://HOST:8500 or grpcs:// for gRPC.
      timeout: of one try, seconds.
      tries: how often a request is sent at most.
      at_once: how many requests go out at a time.
      most_bytes: the largest answer.
      headers: sent with every request ({"Authorization": "Bearer ..."}).
      ca: a file of certificates to trust, for a server with one of its own.

    Raises:
      ConfigError: the address is none of these, or a limit is out of range.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        tries: int = 4,
        at_once: int = 4,
        most_bytes: int = 2**30,
        headers: Mapping[str, str] | None = None,
        ca: str | Path | None = None,
    ) -> None:
        for name, value in (("timeout", timeout), ("tries", tries), ("at_once", at_once), ("most_bytes", most_bytes)):
            if value <= 0:
                raise ConfigError(f"{name} is {value}, but must be above 0.")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "grpc", "grpcs") or not parts.hostname:
            raise ConfigError(f"{url!r} is no address of a server.", "For example http://localhost:8501.")
        self._limits = Limits(timeout, tries, most_bytes, at_once)
        trusted = str(ca) if ca is not None else None
        if parts.scheme.startswith("grpc"):
            from kseg.serving.rpc import Grpc

            self._server: _Server = Grpc(url, self._limits, headers or {}, trusted)
        else:
            from kseg.serving.rest import Rest

            self._server = Rest(url, self._limits, headers or {}, trusted)
        self._url = url

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends waits and closes the connections."""
        self._limits.closed.set()
        self._server.close()

    def predict(
        self, model: str, images: Iterable[Images], *, version: int | None = None, label: str | None = None
    ) -> list[Any]:
        """The masks of images, in their order.

        Args:
          model: its name on the server.
          images: paths, the bytes of files, or arrays (H, W) or (H, W, C); for a network of several streams dicts of
            them. A PNG or JPEG goes as it is, and the server decodes it. Other files are read here.
          version, label: which of several versions; None for the newest.

        Returns:
          (H, W) integers of class ids for each image; a dict of them by head for a network with several.

        Raises:
          ServingError: the server can't be reached or refuses (kseg.serving.answers), at the first image for which it
            does.
          DataError: a file can't be read.
        """
        masks = []
        for found in self.predict_each(model, images, version=version, label=label):
            if isinstance(found, KsegError):
                raise found
            masks.append(found)
        return masks

    def predict_each(
        self, model: str, images: Iterable[Images], *, version: int | None = None, label: str | None = None
    ) -> Iterator[Any]:
        """The same one by one, with an error in the place of a mask that there is not.

        At most twice `at_once` images are read before their masks are taken, however many there are.
        """
        asked = Asked(model, BYTES, version, label)
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(self._limits.at_once) as threads:
            try:
                for image in images:
                    waiting.append(threads.submit(self._answered, asked, image))
                    if len(waiting) >= 2 * self._limits.at_once:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def call(
        self,
        model: str,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        *,
        outputs: Sequence[str] = (),
        version: int | None = None,
        label: str | None = None,
    ) -> dict[str, np.ndarray]:
        """What a signature gives, as arrays by name (kseg.bundles has the signatures).

        Args:
          model, version, label: as in `predict`.
          signature: serving_default, scores, probabilities or image_bytes.
          inputs: arrays of the types that the signature takes; of objects where it takes bytes.
          outputs: those that are wanted; all where it is empty.

        Raises:
          ServingError: the server can't be reached, or refuses.
        """
        return self._server.predict(Asked(model, signature, version, label), inputs, outputs)

    def status(self, model: str, *, version: int | None = None, label: str | None = None) -> list[dict[str, Any]]:
        """The versions of a model that the server knows: each one's `version`, `state` and `error`.

        Raises:
          ServingError: the server can't be reached, or has no such model.
        """
        return self._server.status(Asked(model, "", version, label))

    def is_ready(self, model: str, *, version: int | None = None, label: str | None = None) -> bool:
        """Whether a version of the model is available.

        Raises:
          ServingError: the server can't be reached.
        """
        try:
            return any(each["state"] == "AVAILABLE" for each in self.status(model, version=version, label=label))
        except NotServed:
            return False

    def signatures(
        self, model: str, *, version: int | None = None, label: str | None = None
    ) -> dict[str, dict[str, list[str]]]:
        """The names of the inputs and outputs of each of a model's signatures.

        Raises:
          ServingError: the server can't be reached, or has no such model.
        """
        found = self._server.signatures(Asked(model, "", version, label))
        return {
            name: {end: sorted(infos) for end, infos in each.items()}
            for name, each in found.items()
            if not name.startswith("__")
        }

    def _answered(self, asked: Asked, image: Images) -> Any:
        """The mask of an image, or the error in its place."""
        try:
            streams = image if isinstance(image, Mapping) else {"images": image}
            files = {name: _file_of(each) for name, each in streams.items()}
            if all(each is not None for each in files.values()):
                return self._of_files(asked, files)  # type: ignore[arg-type]
            stored = {name: _array_of(each)[None] for name, each in streams.items()}
            masks = self._server.predict(Asked(asked.model, MASK, asked.version, asked.label), stored, ())
            return _by_head({name: mask[0] for name, mask in masks.items()})
        except KsegError as error:
            return error

    def _of_files(self, asked: Asked, files: Mapping[str, bytes]) -> Any:
        given = {}
        for name, data in files.items():
            given[name] = np.empty(1, object)
            given[name][0] = data
        found = self._server.predict(asked, given, ())
        try:
            error = found.pop("error")[0].decode("utf-8", "replace")
            size = tuple(found.pop("height_width")[0].tolist())
            if error:
                raise Refused(f"{self._url}: {error}")
            masks = {name.removesuffix("_bytes"): _mask(data[0]) for name, data in found.items()}
        except (KeyError, IndexError, AttributeError, TypeError, ValueError) as wrong:
            raise BadAnswer(
                f"{self._url}: {asked.model} is no bundle of kseg, or an old one.", "Export it again."
            ) from wrong
        if any(mask.shape != size for mask in masks.values()):
            raise BadAnswer(f"{self._url}: a mask of another size than {size[0]} x {size[1]}.")
        return _by_head(masks)


def _file_of(image: Image) -> bytes | None:
    """The bytes that a bundle decodes itself; None for an image that must go as an array.

    Raises:
      DataError: the file can't be read.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | Path):
        check_file(Path(image))
        with open(image, "rb") as file:
            is_passed_on = file.read(8).startswith(_PASSED_ON)
        if is_passed_on:
            return Path(image).read_bytes()
        image = read_image(image)
    array = _array_of(image)
    if array.dtype in (np.uint8, np.uint16) and array.shape[2] in (1, 3):
        done, data = cv2.imencode(".png", array[..., ::-1] if array.shape[2] == 3 else array)
        return data.tobytes() if done else None
    return None


def _array_of(image: Image) -> np.ndarray:
    """(H, W, C)."""
    array = read_image(image) if isinstance(image, str | Path) else np.asarray(image)
    return array if array.ndim == 3 else array[..., None]


def _mask(data: bytes) -> np.ndarray:
    found = imagecodecs.png_decode(data)
    return found if found.dtype == np.uint8 else found.astype(np.int32)


def _by_head(masks: Mapping[str, np.ndarray]) -> Any:
    if set(masks) == {"mask"}:
        return masks["mask"]
    return {name.removeprefix("mask_"): mask for name, mask in masks.items()}
