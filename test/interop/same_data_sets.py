"""Compares the data sets of two folders of DICOM files, byte for byte, without the file meta information.

    python same_data_sets.py FOLDER OTHER_FOLDER

Prints JSON: the number of instances in the second folder, whether both hold the same instances with the same bytes, and
the transfer syntaxes of the second.
"""

import hashlib
import json
import sys
from pathlib import Path

import pydicom

PREAMBLE_AND_GROUP_LENGTH = 132 + 12


def read(folder: str) -> dict[str, tuple[str, str]]:
    """SHA-256 of the data set, and transfer syntax, by SOP Instance UID."""
    instances = {}
    for file in Path(folder).iterdir():
        header = pydicom.dcmread(file)
        meta = header.file_meta
        data_set = file.read_bytes()[PREAMBLE_AND_GROUP_LENGTH + meta.FileMetaInformationGroupLength :]
        instances[header.SOPInstanceUID] = (hashlib.sha256(data_set).hexdigest(), meta.TransferSyntaxUID)
    return instances


one, other = (read(folder) for folder in sys.argv[1:3])
print(
    json.dumps(
        {
            "instances": len(other),
            "sameDataSets": one == other,
            "transferSyntaxes": sorted({syntax for _, syntax in other.values()}),
        }
    )
)
