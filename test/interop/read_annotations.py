"""Reads a report of annotations with highdicom.

    python read_annotations.py REPORT

Prints JSON: the instances that it is about, its regions, who observed, and the texts of the first region.
"""

import json
import sys

import highdicom
import pydicom

report = highdicom.sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(sys.argv[1]))
groups = report.content.get_planar_roi_measurement_groups()
images = highdicom.sr.utils.find_content_items(
    report.content[0], value_type=highdicom.sr.ValueTypeValues.IMAGE, recursive=True
)
evidence = {
    str(instance.ReferencedSOPInstanceUID)
    for study in report.CurrentRequestedProcedureEvidenceSequence
    for series in study.ReferencedSeriesSequence
    for instance in series.ReferencedSOPSequence
}
print(
    json.dumps(
        {
            "source": sorted(evidence | {str(image.referenced_sop_instance_uid) for image in images}),
            "regions": [
                {
                    "type": group.roi.graphic_type.name,
                    "frame": str(group.roi.frame_of_reference_uid),
                }
                for group in groups
            ],
            "observers": [
                str(item.PersonName)
                for item in report.ContentSequence
                if item.ValueType == "PNAME" and item.RelationshipType == "HAS OBS CONTEXT"
            ],
            "texts": [
                str(item.TextValue)
                for item in groups[0][0].ContentSequence
                if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"
            ],
        }
    )
)
