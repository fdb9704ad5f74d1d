"""QC on 1.33 million images: seconds and peak memory of a draw and of a report (goal: < 2 s each, flat memory).

    python bench/qc_bench.py [--images 1330000] [--repeats 5] [--quick]

Each is measured in a process of its own, at the full size and at a quarter of it: memory is flat when what is added
beyond the frame's own columns does not grow faster than they do. Four camera setups, 15 classes, ten bins, the
paper's sample sizes; the report is of a round reviewed whole.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from harness import Figure, options, report

from varanger.qc.domain.cells import key_of_image
from varanger.qc.domain.design import RoundDesign
from varanger.qc.domain.draw import Draw, draw
from varanger.qc.domain.frame import Frame
from varanger.qc.domain.report import ReviewedImage, report_of

GOAL_S = 2.0
SETUPS = ("heath", "hummock", "meadow", "snowbed")
LABELS = ("blank", *(f"species_{number:02d}" for number in range(14)))
DESIGN = RoundDesign(seed=2023)


def columns(images: int) -> dict[str, np.ndarray]:
    """A frame's columns in the catalog's order, which is not that of the ids."""
    generator = np.random.default_rng(1)
    shares = np.array([0.6, *(0.4 * 0.6**number for number in range(14))])
    label = generator.choice(len(LABELS), images, p=shares / shares.sum())
    animal = generator.beta(8, 1, images)
    return {
        "media_id": generator.integers(0, 2**63, (images, 2), dtype=np.uint64),
        "setup": generator.integers(0, len(SETUPS), images),
        "label": label,
        "confidence": np.where(label == 0, 1 - generator.beta(0.3, 40, images), animal),
    }


def reviews(frame: Frame, drawn: Draw) -> Iterator[ReviewedImage]:
    """Every drawn image answered: one in ten animals is another, one in fifty blanks an animal."""
    generator = np.random.default_rng(2)
    for index in drawn.index.tolist():
        label, setup = frame.labels[frame.label[index]], frame.setups[frame.setup[index]]
        wrong = generator.random() < (0.02 if label == "blank" else 0.1)
        outcome = LABELS[generator.integers(1, len(LABELS))] if wrong else label
        key = key_of_image(DESIGN, setup, label, float(frame.confidence[index]), blank=label == "blank")
        yield ReviewedImage(cell=key, outcome=outcome)


def peak_mib() -> float:
    """Highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(images: int, repeats: int) -> dict[str, object]:
    """Seconds of each repeat, and the peak after each step."""
    parts = columns(images)
    before = peak_mib()
    frames, draws, reports, draws_cpu, reports_cpu = [], [], [], [], []
    for _ in range(repeats):
        begun, cpu = time.perf_counter(), time.process_time()
        frame = Frame.of(**parts, setups=SETUPS, labels=LABELS)
        sorted_at = time.perf_counter()
        drawn = draw(frame, DESIGN)
        frames.append(sorted_at - begun)
        draws.append(time.perf_counter() - begun)
        draws_cpu.append(time.process_time() - cpu)
    after_draw = peak_mib()
    answered = list(reviews(frame, drawn))
    for _ in range(repeats):
        begun, cpu = time.perf_counter(), time.process_time()
        report = report_of(drawn.cells, DESIGN, answered)
        reports.append(time.perf_counter() - begun)
        reports_cpu.append(time.process_time() - cpu)
    if not report.complete:
        raise RuntimeError("the report does not speak of every drawn image")
    return {
        "images": images,
        "drawn": len(drawn),
        "frame_mib": sum(part.nbytes for part in parts.values()) / 2**20,
        "draw_s": draws,
        "draw_cpu_s": draws_cpu,
        "sort_s": frames,
        "report_s": reports,
        "report_cpu_s": reports_cpu,
        "draw_extra_mib": after_draw - before,
        "report_extra_mib": peak_mib() - after_draw,
        "peak_mib": peak_mib(),
    }


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s (min {min(seconds):.2f}, max {max(seconds):.2f})"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=1_330_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", action="store_true", help="measure in this process and print JSON")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.images, given.repeats)))
        return
    sizes, repeats = ((given.images // 4, given.images), given.repeats) if not given.quick else ((5_000,), 1)
    rows = []
    for images in sizes:
        command = [sys.executable, __file__, "--measure", f"--images={images}", f"--repeats={repeats}"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"\n{images:,} images, {found['drawn']:,} drawn, columns {found['frame_mib']:.0f} MiB")
        print(f"  draw    {spread(found['draw_s'])}, of it sorting by id {spread(found['sort_s'])}")
        print(f"          {found['draw_extra_mib']:.0f} MiB beyond the columns")
        print(f"  report  {spread(found['report_s'])}, {found['report_extra_mib']:.0f} MiB beyond the draw's peak")
        print(f"  peak    {found['peak_mib']:.0f} MiB resident")
        rows += figures(images, found)
    report(*rows)


def figures(images: int, found: dict[str, Any]) -> list[Figure]:
    """The rows to keep of one size."""
    memory = [
        Figure.of(f"QC {name} of {images:,} images, added memory", "MiB", [found[f"{name}_extra_mib"]])
        for name in ("draw", "report")
    ]
    return memory + [
        Figure.of(f"QC {name} of {images:,} images, {kind}", unit, found[f"{name}{key}_s"], goal=goal)
        for name in ("draw", "report")
        for kind, key, unit, goal in (("wall", "", "s", GOAL_S), ("CPU", "_cpu", "CPU-s", None))
    ]


if __name__ == "__main__":
    main()
