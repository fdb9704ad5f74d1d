"""Simulated camera-trap seasons with known truth: drawn by code, seeded, nobody's photographs."""

from varanger.fieldsim.files.truth import read_season, write_truth
from varanger.fieldsim.files.yolo import write_yolo
from varanger.fieldsim.large import twelve_megapixel
from varanger.fieldsim.main import draw_season
from varanger.fieldsim.plan import DEFAULT_SETUPS, FAULT_KINDS, CameraSetup, FaultKind, SeasonPlan
from varanger.fieldsim.season import Season, SimulatedDeployment, SimulatedFault, SimulatedMedia, TrueBox
from varanger.fieldsim.species import CLASSES, EXPERT_GROUPS, NOT_ANIMALS, SPECIES, Species

__all__ = [
    "CLASSES",
    "DEFAULT_SETUPS",
    "EXPERT_GROUPS",
    "FAULT_KINDS",
    "NOT_ANIMALS",
    "SPECIES",
    "CameraSetup",
    "FaultKind",
    "Season",
    "SeasonPlan",
    "SimulatedDeployment",
    "SimulatedFault",
    "SimulatedMedia",
    "Species",
    "TrueBox",
    "draw_season",
    "read_season",
    "twelve_megapixel",
    "write_truth",
    "write_yolo",
]
