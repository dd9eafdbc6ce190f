"""How often the detector of other stains notes and refuses, by source.

    python -m evaluation.stains --data ../../shared/data [--more FOLDER ...]

Roles are those of docs/evaluation/protocol.md: nothing was chosen on the test sources. `--more` gives folders of pictures with a
role of their own: NAME=FOLDER, where NAME begins with he- or other-. Rates have Wilson's 95 % interval.
"""
import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from dcgmm.sources import SUFFIXES
from stains.detector import judge, read_detector


@dataclass(frozen=True)
class Source:
    name: str
    role: str
    is_he: bool
    #: Patterns relative to the data folder; none for a picture of scikit-image.
    patterns: tuple[str, ...]


SOURCES = (
    Source("varied", "development", True, ("varied/*",)),
    Source("paired/mitos", "development", True, ("paired/mitos/*",)),
    Source("paired/protocols", "development", True, ("paired/protocols/*",)),
    Source("seed-images", "development", True, ("seed-images/*",)),
    Source("cases/pictures", "development", True, ("cases/pictures/*.png",)),
    Source("pair_he", "development", True, ("other_stains/pair_he_*",)),
    Source("mist (IHC)", "development", False, ("other_stains/mist_*",)),
    Source("bone marrow (blue)", "development", False, ("other_stains/bone_marrow_*",)),
    Source("scikit-image (IHC)", "development", False, ()),
    Source("eval/breakhis_scanner", "development", True, ("eval/breakhis_scanner/*",)),
    Source("eval/monuseg_train", "test", True, ("eval/monuseg_train/*",)),
    Source("mist2 (IHC)", "test", False, ("other_stains/mist2_*",)),
    Source("stomach (trichrome)", "test", False, ("other_stains/trichrome_*",)),
)


def pictures_of(source: Source, data: Path) -> list[tuple[str, np.ndarray]]:
    if not source.patterns:
        return [("immunohistochemistry", skimage.data.immunohistochemistry())]
    files = [path for pattern in source.patterns for path in sorted(data.glob(pattern)) if path.suffix.lower() in SUFFIXES]
    return [(path.name, np.asarray(Image.open(path).convert("RGB"))) for path in files]


def wilson(count: int, of: int) -> tuple[float, float]:
    """95 % confidence interval of a rate (Wilson 1927)."""
    z = 1.959964
    rate, correction = count / of, 1 + z**2 / of
    middle = (rate + z**2 / (2 * of)) / correction
    half = z * np.sqrt(rate * (1 - rate) / of + z**2 / (4 * of**2)) / correction
    return max(0.0, middle - half), min(1.0, middle + half)


def rate(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count / of:.3f} ({low:.3f} to {high:.3f})"


def row(name: str, role: str, is_he: bool, verdicts: list[str]) -> str:
    refused, noted = verdicts.count("other"), verdicts.count("unsure")
    kind = "H&E" if is_he else "not H&E"
    return f"| {name} | {role} | {kind} | {len(verdicts)} | {rate(refused, len(verdicts))} | {rate(refused + noted, len(verdicts))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--more", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--pictures", action="store_true", help="print every picture that is misjudged")
    options = parser.parse_args()
    detector = read_detector()
    more = [name_and_folder.split("=", 1) for name_and_folder in options.more]
    given = [Source(name, "given", name.startswith("he-"), (str(Path(folder).resolve().relative_to("/") / "*"),)) for name, folder in more]
    found: dict[tuple[str, bool], list[str]] = {}
    print("| source | role | what | pictures | refused | refused or noted |\n| --- | --- | --- | --- | --- | --- |")
    for source in (*SOURCES, *given):
        pictures = pictures_of(source, Path("/") if source in given else options.data)
        if not pictures:
            continue
        verdicts = []
        for name, pixels in pictures:
            verdict, score = judge(pixels, detector)
            verdicts.append(verdict)
            if options.pictures and (verdict == "he") != source.is_he:
                print(f"  {source.name} {name}: {verdict} {score:.3f}")
        found.setdefault((source.role, source.is_he), []).extend(verdicts)
        print(row(source.name, source.role, source.is_he, verdicts), flush=True)
    for (role, is_he), verdicts in found.items():
        print(row("all", role, is_he, verdicts))


if __name__ == "__main__":
    main()
