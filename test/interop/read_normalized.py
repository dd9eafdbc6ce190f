"""Reads a slide over DICOMweb with independent clients: wsidicom, and dicomweb-client with pydicom.

Usage: read_normalized.py ROOT STUDY SERIES; prints, one per line, the SHA-256 of what both read: headers and frames of
every instance, a region of the base level, the thumbnail.
"""

import hashlib
import sys

import pydicom
from dicomweb_client.api import DICOMwebClient
from wsidicom import WsiDicom, WsiDicomWebClient

root, study, series = sys.argv[1:4]
SYNTAX = "1.2.840.10008.1.2.4.50"


def digest(*parts):
    hash = hashlib.sha256()
    for part in parts:
        hash.update(part)
    return hash.hexdigest()


client = DICOMwebClient(root)


def bulk_data(tag, vr, uri):
    # The client sends Host without the port, and addresses in responses repeat it.
    value = client.retrieve_bulkdata(root + uri[uri.index("/studies/") :])
    return value if isinstance(value, bytes) else value[0]


assert study in [row["0020000D"]["Value"][0] for row in client.search_for_studies()]
assert series in [row["0020000E"]["Value"][0] for row in client.search_for_series(study)]
instances = client.search_for_instances(study, series)
metadata = client.retrieve_series_metadata(study, series)
assert {i["00080018"]["Value"][0] for i in instances} == {m["00080018"]["Value"][0] for m in metadata}
for header in sorted(metadata, key=lambda m: m["00080018"]["Value"][0]):
    dataset = pydicom.Dataset.from_json(header, bulk_data_uri_handler=bulk_data)
    numbers = list(range(1, dataset.NumberOfFrames + 1))
    frames = client.retrieve_instance_frames(study, series, dataset.SOPInstanceUID, numbers, media_types=(("image/jpeg", SYNTAX),))
    assert len(frames) == dataset.NumberOfFrames
    profile = dataset.OpticalPathSequence[0].ICCProfile
    print(dataset.SOPInstanceUID, digest(str(dataset).encode()), digest(bytes(profile)), digest(*frames))

with WsiDicom.open_web(WsiDicomWebClient(client), study, series) as slide:
    size = slide.size
    region = slide.read_region((size.width // 4, size.height // 4), 0, (600, 500))
    print("levels", [(level.size.width, level.size.height) for level in slide.pyramids[0]])
    print("region", digest(region.tobytes()))
    print("thumbnail", digest(slide.read_thumbnail((200, 200)).tobytes()))
