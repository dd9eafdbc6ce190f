"""Reads a Key Object Selection Document with highdicom.

    python read_rejection.py FILE

Prints JSON: its title, the observer, and what it refers to.
"""

import json
import sys

import highdicom
import pydicom

file = pydicom.dcmread(sys.argv[1])
document = highdicom.ko.KeyObjectSelectionDocument.from_dataset(file)
title = document.ConceptNameCodeSequence[0]
content = document.content
print(
    json.dumps(
        {
            "title": [title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning],
            "patientId": document.PatientID,
            "accessionNumber": document.AccessionNumber,
            "observers": len(content.get_observer_contexts()),
            "instances": sorted(
                item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in content.get_references()
            ),
            "evidence": sorted(
                instance.ReferencedSOPInstanceUID
                for study in document.CurrentRequestedProcedureEvidenceSequence
                for series in study.ReferencedSeriesSequence
                for instance in series.ReferencedSOPSequence
            ),
        }
    )
)
