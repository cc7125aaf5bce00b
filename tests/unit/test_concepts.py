"""The shipped concept base: what it may hold, and that the words of chest reports have a concept of the right kind."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path
from typing import NamedTuple

import pytest

from kgbuild import resources
from kgbuild.domain import Mention
from kgbuild.labels import EntityType
from kgbuild.linkers import _base_tsv, _normalise
from kgbuild.linkers.lexical import LexicalLinker

FOLDER = resources.data("schemas") / "concepts"
HAND_WRITTEN = ("devices.tsv", "radiology.tsv")
SCRIPT = Path(__file__).parents[1] / "tools" / "build_concepts.py"
OPEN = {"HP", "UBERON", "MONDO", "DOID", "SYMP"}

DEVICES = """
    endotracheal tube|et tube|ETT|ett|tracheostomy tube|nasogastric tube|ng tube|NG tube|NGT|orogastric tube|
    enteric tube|feeding tube|dobbhoff tube|Dobhoff|picc|PICC line|central venous catheter|central line|
    internal jugular catheter|subclavian catheter|swan-ganz catheter|Swan - Ganz catheter|pulmonary artery catheter|
    dialysis catheter|hemodialysis catheter|port|Port-A-Cath|mediport|chest tube|chest tubes|pigtail catheter|drain|
    pacemaker|pacemaker leads|pacer|ICD|AICD|sternotomy wires|sternal wires|surgical clips|sutures|staples|
    prosthetic valve|aortic valve replacement|mitral valve replacement|annuloplasty ring|stent|coronary stent|IABP|
    intra-aortic balloon pump|ECMO cannula|LVAD|spinal hardware|fixation rods|pedicle screws|shoulder arthroplasty|
    shoulder prosthesis|stent graft|IVC filter|embolization coils|TIPS|gastrostomy tube|PEG tube|biopsy clip|
    breast implants|EKG leads|monitoring leads|vagal nerve stimulator|loop recorder|esophageal probe|
    bullet fragments|foreign body|bone cement|vertebroplasty|catheter|hardware|support devices|lines and tubes|
    orthopedic hardware|umbilical catheter|VP shunt|gastric band|tips stent|nephrostomy tube
"""
FINDINGS = """
    opacity|opacities|lucency|consolidation|infiltrate|infiltrates|airspace disease|atelectasis|pneumothorax|
    pleural effusion|effusions|edema|pulmonary edema|interstitial edema|vascular congestion|congestion|cardiomegaly|
    pneumonia|nodule|nodules|mass|granuloma|granulomas|calcified granuloma|scar|scarring|fibrosis|emphysema|COPD|
    copd|hyperinflation|hyperexpanded|low lung volumes|hypoinflation|volume loss|collapse|crowding|
    bronchovascular crowding|interstitial markings|interstitial opacities|reticular opacities|ground glass opacity|
    kerley b lines|air bronchograms|bronchiectasis|peribronchial cuffing|pleural thickening|pleural plaque|blunting|
    fracture|rib fracture|compression fracture|compression deformity|degenerative changes|spondylosis|osteophytes|
    spurring|scoliosis|kyphosis|osteopenia|osteoporosis|arthritis|dislocation|sclerosis|lytic lesion|lesion|cavity|
    cavitation|cyst|bulla|bullae|bleb|hiatal hernia|eventration|elevated hemidiaphragm|flattened diaphragms|
    free air|pneumoperitoneum|pneumomediastinum|subcutaneous emphysema|hydropneumothorax|hemothorax|empyema|abscess|
    lymphadenopathy|adenopathy|widened mediastinum|mediastinal shift|tracheal deviation|hilar enlargement|
    tortuous aorta|aortic calcification|aortic aneurysm|atherosclerosis|atherosclerotic calcifications|
    calcification|calcifications|chf|CHF|heart failure|pulmonary hypertension|pulmonary embolism|tuberculosis|
    sarcoidosis|malignancy|metastases|metastatic disease|lung cancer|aspiration|infection|inflammation|
    pericardial effusion|interstitial lung disease|postsurgical changes|deformity|fluid|air-fluid level|
    cardiac enlargement|vascular engorgement|thickening|cephalization|density|densities|haziness|pleural fluid|
    bowel gas
"""
ANATOMY = """
    lung|lungs|heart|cardiac|cardiac silhouette|cardiomediastinal silhouette|mediastinum|mediastinal|
    mediastinal contours|hilum|hila|hilar|hilar contours|pleura|pleural|pleural space|diaphragm|hemidiaphragm|
    right hemidiaphragm|costophrenic angle|left costophrenic angle|lung base|lung bases|left base|bibasilar|basilar|
    lung apex|apices|apical|right upper lobe|right middle lobe|right lower lobe|left upper lobe|left lower lobe|
    lingula|lobe|upper lobe|mid lung|upper lung zone|lower lung|perihilar|retrocardiac|airspace|interstitial|
    interstitium|pulmonary|vasculature|pulmonary vasculature|vascular|bronchovascular|bronchovascular markings|
    trachea|tracheal|carina|main bronchus|airways|aorta|aortic|aortic arch|aortic knob|thoracic aorta|
    descending aorta|superior vena cava|SVC|svc|cavoatrial junction|right atrium|left ventricle|pulmonary artery|
    ribs|rib|clavicle|sternum|scapula|shoulder|humerus|spine|thoracic spine|lumbar spine|cervical spine|
    vertebral body|endplate|bones|osseous structures|bony structures|bony thorax|soft tissues|chest|chest wall|
    thorax|abdomen|upper abdomen|stomach|esophagus|gastroesophageal junction|bowel|liver|minor fissure|fissure|
    breast|axilla|neck|hemithorax|cardiopulmonary|lymph nodes|coronary|mitral valve|aortic valve|pericardium|
    left lung|right lung|subclavian|jugular|disc spaces|joint|paratracheal
"""
OTHER = """
    normal|clear|unremarkable|stable|unchanged|intact|limits|within normal limits|abnormality|abnormalities|disease|
    process|findings|change|acute|chronic|focal|diffuse|bilateral|left|right|mild|moderate|severe|minimal|small|
    large|increased|decreased|improved|worsening|prominent|enlarged|patchy|streaky|low|active|new|old|multiple|
    borderline|upper|lower|size
"""


class Found(NamedTuple):
    concept_id: str
    kind: str
    method: str


def find(linker: LexicalLinker, text: str, type_: EntityType = EntityType.OBSERVATION) -> Found | None:
    for link in linker.link([Mention("s:0-1", text, type_)]):
        return Found(link.concept_id, linker.concept(link.concept_id).kind, link.method)
    return None


def words(block: str) -> list[str]:
    return " ".join(block.split()).replace("| ", "|").split("|")


def table(name: str) -> list[dict[str, str]]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def linker() -> LexicalLinker:
    return LexicalLinker()


def test_no_doubtful_source_and_no_column_counted_from_reports() -> None:
    concepts, synonyms = table("concepts.tsv"), table("synonyms.tsv")
    assert tuple(concepts[0]) == _base_tsv.CONCEPT_COLUMNS
    assert tuple(synonyms[0]) == _base_tsv.SYNONYM_COLUMNS
    assert {source for row in concepts for source in row["source"].split("|")} == OPEN
    assert {row["source"] for row in synonyms} == OPEN | {"KGBUILD"}


def test_ids_are_unique_and_of_the_three_forms() -> None:
    for name in ("concepts.tsv", *HAND_WRITTEN):
        ids = [row["id"] for row in table(name)]
        assert len(ids) == len(set(ids)), name
    hand = [row["id"] for name in HAND_WRITTEN for row in table(name)]
    assert len(hand) == len(set(hand))
    for concept_id in _base_tsv.load(FOLDER).concepts:
        prefix, _, rest = concept_id.partition(":")
        own = prefix == "KGB" and rest.islower() and rest.replace("_", "").isalnum()
        assert own or (prefix == "HP" and rest.isdigit()) or (len(concept_id) == 8 and concept_id[1:].isdigit())


def test_the_base_loads_so_kinds_scopes_and_ids_are_legal() -> None:
    base = _base_tsv.load(FOLDER)
    assert len(base.concepts) > 1900
    assert all(concept.name for concept in base.concepts.values())
    assert {concept.kind for concept in base.concepts.values()} == set(_base_tsv.KINDS)


def test_the_readme_counts_right() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("concepts.tsv", "synonyms.tsv", *HAND_WRITTEN):
        assert f"| `{name}` | {len(table(name)):,} " in text, name


def test_hand_written_rows_are_whole_and_do_not_repeat_themselves() -> None:
    known = {row["id"] for row in table("concepts.tsv")}
    for file in HAND_WRITTEN:
        for row in table(file):
            names = [name for cell in (row["exact"], row["broad"]) for name in cell.split("|") if name]
            assert len(names) == len(set(names)), row["id"]
            assert all(name == name.strip() for name in names), row["id"]
            assert row["id"] in known or (row["name"] and row["kind"]), row["id"]
            assert row["same_as"] not in known, "a term that a row stands for is not shipped beside it"


def test_one_exact_name_of_our_own_has_one_meaning() -> None:
    seen: dict[tuple[str, bool], str] = {}
    base = _base_tsv.load(FOLDER)
    for file in HAND_WRITTEN:
        for row in table(file):
            anatomy = base.concepts[row["id"]].kind == "anatomy"
            for name in row["exact"].split("|"):
                if name:
                    assert seen.setdefault((name, anatomy), row["id"]) == row["id"], name


def test_our_names_of_a_finding_do_not_narrow_it(linker: LexicalLinker) -> None:
    base = _base_tsv.load(FOLDER)
    for name in base.names:
        concept = base.concepts[name.concept_id]
        if name.source != "KGBUILD" or concept.kind != "observation":
            continue
        key, own = _normalise.normal_key(name.text), _normalise.normal_key(concept.name)
        rest = _normalise.without_qualifiers(key)
        if set(key.split()) - set(rest.split()) - set(own.split()):
            wider = find(linker, rest)
            assert wider is None or wider.concept_id != concept.id, name


@pytest.mark.parametrize(
    ("block", "type_", "kinds"),
    [
        (DEVICES, EntityType.OBSERVATION, {"device"}),
        (FINDINGS, EntityType.OBSERVATION, {"observation"}),
        (ANATOMY, EntityType.ANATOMY, {"anatomy"}),
        (OTHER, EntityType.OBSERVATION, {"other"}),
    ],
    ids=["devices", "findings", "anatomy", "judgements and modifiers"],
)
def test_common_words_link_to_the_right_kind(
    linker: LexicalLinker, block: str, type_: EntityType, kinds: set[str]
) -> None:
    odd = {}
    for word in words(block):
        found = find(linker, word, type_)
        if found is None or found.kind not in kinds or found.method == "stripped":
            odd[word] = found
    assert odd == {}


def test_devices_that_differ_stay_apart(linker: LexicalLinker) -> None:
    apart = [
        "endotracheal tube",
        "tracheostomy tube",
        "nasogastric tube",
        "feeding tube",
        "picc",
        "central line",
        "port",
    ]
    apart += [
        "chest tube",
        "pacemaker",
        "ICD",
        "sternotomy wires",
        "surgical clips",
        "stent",
        "coronary stent",
        "sutures",
    ]
    ids = [found.concept_id for word in apart if (found := find(linker, word))]
    assert len(set(ids)) == len(apart)


@pytest.mark.real
def test_the_shipped_tables_are_what_the_script_makes(real_data: Path, tmp_path: Path) -> None:
    runpy.run_path(str(SCRIPT))["build"](real_data / "ontology", tmp_path)
    for name in ("concepts.tsv", "synonyms.tsv"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.real
def test_every_cui_of_ours_was_read_from_a_source(real_data: Path) -> None:
    with (real_data / "ontology" / "thorax.tsv").open(encoding="utf-8", newline="") as file:
        known = {row["cui"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    ours = {row["id"] for name in HAND_WRITTEN for row in table(name)}
    assert {concept_id for concept_id in ours if ":" not in concept_id} <= known
