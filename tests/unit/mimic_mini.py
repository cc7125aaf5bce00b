"""Write a made-up data set in MIMIC-CXR's layout: three studies of two patients, five images. No real text or id."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
LABELS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
BANNER = " " * 33 + "FINAL REPORT\n"


def dicom(number: int) -> str:
    """A made-up image id."""
    return "-".join(f"{number:08x}" for _ in range(5))


class Shot(NamedTuple):
    """One image."""

    id: str
    view: str = "PA"
    rows: str = "3056"
    columns: str = "2544"
    date: str = "21800506"
    split: str = "train"
    time: str = "93012.5"


class Made(NamedTuple):
    """One study."""

    subject: int
    study: int
    text: str | bytes | None
    shots: tuple[Shot, ...] = ()

    @property
    def folder(self) -> str:
        return f"files/p{str(self.subject)[:2]}/p{self.subject}/s{self.study}"


FIRST = Made(
    10000017,
    50000041,
    BANNER
    + " EXAMINATION:  CHEST (PA AND LAT)\n \n FINDINGS: \n \n Invented lungs are\n clear.\n \n IMPRESSION:  Normal.\n",
    (Shot(dicom(2), "LATERAL", date="21800507"), Shot(dicom(1))),
)
SECOND = Made(
    10000017,
    50000023,
    BANNER + " INDICATION: Cough.\n \n IMPRESSION: No change.\n",
    (Shot(dicom(3), "", "", "", "21791231"),),
)
THIRD = Made(
    11000016,
    50000012,
    BANNER + " CHEST RADIOGRAPH\n \n Invented: small effusion.\n",
    (Shot(dicom(4), "AP", split="validate"), Shot(dicom(5), "AP", split="validate")),
)
STUDIES = (THIRD, FIRST, SECOND)  # not in the order of the paths


def table(path: Path, header: str, rows: Iterable[Iterable[object]]) -> Path:
    """A CSV, gzipped if its name says so; cells with a comma in quotes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(",".join(f'"{c}"' if "," in str(c) else str(c) for c in row) for row in rows)]
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def reports(root: Path, studies: Iterable[Made] = STUDIES) -> None:
    for made in studies:
        path = root / f"{made.folder}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        if made.text is not None:
            path.write_bytes(made.text.encode() if isinstance(made.text, str) else made.text)


def archive(path: Path, studies: Iterable[Made] = STUDIES, prefix: str = "", extra: Iterable[str] = ()) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for made in studies:
            if made.text is not None:
                opened.writestr(f"{prefix}{made.folder}.txt", made.text)
        for name in extra:
            opened.writestr(name, "made up")
    return path


def study_list(root: Path, studies: Iterable[Made] = STUDIES, name: str = "cxr-study-list.csv.gz") -> Path:
    rows = [(made.subject, made.study, f"{made.folder}.txt") for made in studies]
    return table(root / name, "subject_id,study_id,path", rows)


def record_list(root: Path, studies: Iterable[Made] = STUDIES, name: str = "cxr-record-list.csv.gz") -> Path:
    rows = [(m.subject, m.study, shot.id, f"{m.folder}/{shot.id}.dcm") for m in studies for shot in m.shots]
    return table(root / name, "subject_id,study_id,dicom_id,path", rows)


def metadata(root: Path, studies: Iterable[Made] = STUDIES, name: str = "mimic-cxr-2.0.0-metadata.csv.gz") -> Path:
    rows = [
        (
            s.id,
            m.subject,
            m.study,
            "CHEST (PA, LAT)",
            s.view,
            s.rows,
            s.columns,
            s.date,
            s.time,
            "CHEST",
            "",
            "Erect",
        )
        for m in studies
        for s in m.shots
    ]
    return table(root / name, METADATA, rows)


def split(root: Path, studies: Iterable[Made] = STUDIES, name: str = "mimic-cxr-2.0.0-split.csv.gz") -> Path:
    rows = [(s.id, m.study, m.subject, s.split) for m in studies for s in m.shots]
    return table(root / name, "dicom_id,study_id,subject_id,split", rows)


def images(root: Path, studies: Iterable[Made] = STUDIES, end: str = ".jpg") -> None:
    for made in studies:
        for shot in made.shots:
            path = root / made.folder / f"{shot.id}{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"made up")


def write(root: Path, studies: Iterable[Made] = STUDIES) -> Path:
    """Everything but labels and images."""
    for part in (reports, study_list, record_list, metadata, split):
        part(root, studies)
    return root
