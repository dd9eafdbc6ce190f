"""Reads a DICOM slide and writes it with other colours, using wsidicom."""
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from wsidicom import WsiDicom
from wsidicom.codec import JpegSettings
from wsidicom.codec.settings import Subsampling
from wsidicom.file import WsiDicomFileSource
from wsidicom.geometry import Point
from wsidicom.instance import ImageData, WsiInstance

QUALITY = 90
#: Tiles side by side in what wsidicom's writer asks for at once; it is two tiles high. 4 x 2 tiles of 256 pixels keep
#: the cost of the halo at 10 % and the activations of the reference network at 0.3 GB.
TILES_AT_ONCE = 4

#: uint8 [H, W, 3] -> uint8 [H, W, 3].
Normalise = Callable[[np.ndarray], np.ndarray]


def read(image: ImageData, x: int, y: int, width: int, height: int) -> np.ndarray:
    """Pixels of a rectangle that lies in the image: uint8 [height, width, 3]. Decoded tiles stay in wsidicom's cache."""
    size = image.tile_size
    columns = range(x // size.width, (x + width - 1) // size.width + 1)
    rows = range(y // size.height, (y + height - 1) // size.height + 1)
    points = [Point(column, row) for row in rows for column in columns]
    tiles = list(image.get_decoded_tiles(points, image.default_z, image.default_path))
    bands = [np.concatenate(tiles[i : i + len(columns)], 1) for i in range(0, len(tiles), len(columns))]
    top, left = y - rows[0] * size.height, x - columns[0] * size.width
    return np.ascontiguousarray(np.concatenate(bands)[top : top + height, left : left + width])


def passed_on(name: str) -> property:
    return property(lambda self: getattr(self.source, name))


class Normalised(ImageData):
    """The base level with other colours, which wsidicom's writer reads in place of the source."""

    transfer_syntax, image_size, tile_size = map(passed_on, ("transfer_syntax", "image_size", "tile_size"))
    pixel_spacing, imaged_size = map(passed_on, ("pixel_spacing", "imaged_size"))
    samples_per_pixel, bits = map(passed_on, ("samples_per_pixel", "bits"))
    photometric_interpretation = passed_on("photometric_interpretation")
    image_coordinate_system = passed_on("image_coordinate_system")
    thread_safe, lossy_compression, transcoder = map(passed_on, ("thread_safe", "lossy_compression", "transcoder"))
    focal_planes, optical_paths = map(passed_on, ("focal_planes", "optical_paths"))

    def __init__(self, source: ImageData, normalise: Normalise):
        super().__init__(source.encoder)
        self.source = source
        self.normalise = normalise

    def get_decoded_tile(self, tile_point: Point, z: float, path: str, cache: bool = True) -> np.ndarray:
        return next(self.get_decoded_tiles([tile_point], z, path, cache))

    def get_encoded_tile(self, tile: Point, z: float, path: str) -> bytes:
        return self.encoder.encode(self.get_decoded_tile(tile, z, path))


class NormalisedByTile(Normalised):
    """Processes each tile separately."""

    def get_decoded_tiles(self, tiles: Iterable[Point], z: float, path: str, cache: bool = True) -> Iterator[np.ndarray]:
        return map(self.normalise, self.source.get_decoded_tiles(tiles, z, path, cache))


class NormalisedByWindow(Normalised):
    """Processes all tiles of a request as one window with a halo of real pixels, with origin and size at multiples of
    `alignment`."""

    def __init__(self, source: ImageData, normalise: Normalise, halo: int, alignment: int):
        super().__init__(source, normalise)
        self.halo, self.alignment = halo, alignment

    def get_decoded_tiles(self, tiles: Iterable[Point], z: float, path: str, cache: bool = True) -> Iterator[np.ndarray]:
        points = list(tiles)
        size, image = self.tile_size, self.image_size
        (left, right), (top, bottom) = ((min(v), max(v) + 1) for v in ([p.x for p in points], [p.y for p in points]))
        x, y = max(0, left * size.width - self.halo), max(0, top * size.height - self.halo)
        width = min(image.width, right * size.width + self.halo) - x
        height = min(image.height, bottom * size.height + self.halo) - y
        pixels = read(self.source, x, y, width, height)
        padding = ((0, -height % self.alignment), (0, -width % self.alignment), (0, 0))
        result = self.normalise(np.pad(pixels, padding, "edge"))[:height, :width]
        for point in points:
            at_x, at_y = point.x * size.width - x, point.y * size.height - y
            tile = result[at_y : at_y + size.height, at_x : at_x + size.width]
            missing = ((0, size.height - tile.shape[0]), (0, size.width - tile.shape[1]), (0, 0))
            yield np.ascontiguousarray(np.pad(tile, missing, "edge"))


class NormalisedSource(WsiDicomFileSource):
    """The files of a slide, with the pixels of the base level replaced."""

    wrap: Callable[[ImageData], Normalised]

    @property
    def level_instances(self) -> Iterable[WsiInstance]:
        for instance in super().level_instances:
            base = instance.size == self.base_dataset.image_size
            yield WsiInstance(instance.datasets, self.wrap(instance.image_data)) if base else instance


def save_normalised(files: Path, folder: Path, wrap: Callable[[ImageData], Normalised], threads: int) -> None:
    """Writes the slide with its base level wrapped; wsidicom makes the other levels as 2 x 2 averages of it."""
    source = NormalisedSource.open(files)
    source.wrap = wrap
    with WsiDicom(source) as slide:
        slide.save(
            folder,
            workers=threads,
            chunk_size=TILES_AT_ONCE,
            regenerate_pyramid=True,
            transcoding=JpegSettings(QUALITY, subsampling=Subsampling.R422),
            force_transcoding=True,
        )
