"""A parquet file as batches of typed columns, and the images its columns may hold.

Knows how the file is laid out and nothing about what its columns mean.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from automl_gpt_ray.cards.column_names import check_distinct
from automl_gpt_ray.cards.column_tally import is_binary
from automl_gpt_ray.errors import CardError, Problem

_ROWS = 16_384
_IMAGES_SEEN = 32
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")


class ParquetFile:
    """An open description of a parquet file.

    Attributes:
        names: Column names.
        image_column: First column of encoded images (bytes, or a struct with `bytes`), or None.
        image_shape: Height, width and channels where the first images agree and Pillow is installed.

    Raises:
        CardError: Not a readable parquet file, or repeated column names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = parquet.ParquetFile(path)
            self.names: list[str] = list(self._file.schema_arrow.names)
            check_distinct(path, self.names)
            self.image_column, samples = self._find_images()
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None
        self.image_shape = _shape(samples)

    def batches(self) -> Iterator[Any]:
        """Yield `pyarrow.RecordBatch`es of every column but the image column.

        Raises:
            CardError: A damaged file.
        """
        names = [name for name in self.names if name != self.image_column]
        try:
            yield from self._file.iter_batches(batch_size=_ROWS, columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None

    def _find_images(self) -> tuple[str | None, list[bytes]]:
        for field in self._file.schema_arrow:
            if is_binary(field.type) or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0):
                samples = self._samples(field.name)
                if samples and all(map(_is_image, samples)):
                    return field.name, samples
        return None, []

    def _samples(self, name: str) -> list[bytes]:
        batch = next(self._file.iter_batches(batch_size=_IMAGES_SEEN, columns=[name], use_threads=False), None)
        values = batch.column(0).to_pylist() if batch is not None else []
        data = [value["bytes"] if isinstance(value, dict) else value for value in values if value is not None]
        return [value for value in data if isinstance(value, bytes)]

    def _unreadable(self, error: Exception) -> CardError:
        detail = " ".join(str(error).split())[:200]
        return CardError(
            str(self.path), [Problem("(file)", "must be a readable parquet file", detail, "write it again")]
        )


def _is_image(data: bytes) -> bool:
    return data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _shape(samples: list[bytes]) -> tuple[int, int, int] | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    shapes = set()
    for data in samples:
        try:
            # Opening reads the header only: no pixel is decoded.
            with Image.open(io.BytesIO(data)) as image:
                shapes.add((image.height, image.width, len(image.getbands())))
        except (OSError, ValueError, Image.DecompressionBombError):
            return None
    return shapes.pop() if len(shapes) == 1 else None
