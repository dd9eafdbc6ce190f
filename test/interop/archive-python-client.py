"""Uses the archive as an independent client does: dicomweb-client (MGH) with pydicom.

Usage: archive-python-client.py URL FILE FRAMES; stores FILE, reads it back in every way, prints `ok`.
"""

import sys

import pydicom
from dicomweb_client.api import DICOMwebClient

url, path, frames = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = DICOMwebClient(url)
dataset = pydicom.dcmread(path)
study, series, sop = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID

answer = client.store_instances([dataset])
assert answer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == sop, answer
assert [s["0020000D"]["Value"][0] for s in client.search_for_studies(search_filters={"StudyInstanceUID": study})] == [study]
assert [s["0020000E"]["Value"][0] for s in client.search_for_series(study)] == [series]
found = client.search_for_instances(study, series, fields=["NumberOfFrames"])
assert [i["00080018"]["Value"][0] for i in found] == [sop]

metadata = [pydicom.Dataset.from_json(m, bulk_data_uri_handler=lambda tag, vr, uri: None) for m in client.retrieve_series_metadata(study, series)]
assert len(metadata) == 1
for keyword in ("PatientName", "ImageType", "TotalPixelMatrixColumns", "ImageOrientationSlide", "Rows"):
    assert metadata[0][keyword].value == dataset[keyword].value, keyword

syntax = dataset.file_meta.TransferSyntaxUID
instance = client.retrieve_instance(study, series, sop, media_types=(("application/dicom", "*"),))
assert instance == dataset and instance.file_meta.TransferSyntaxUID == syntax

media = (("image/jpeg", syntax),) if syntax.is_encapsulated else (("application/octet-stream", syntax),)
numbers = list(range(1, frames + 1))
stored = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=frames)) if syntax.is_encapsulated else None
received = client.retrieve_instance_frames(study, series, sop, numbers, media_types=media)
assert len(received) == frames
if stored:
    assert [bytes(f) for f in received] == stored
print("ok")
