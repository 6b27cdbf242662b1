from pathlib import Path

import yaml

from reglab.report.studies.study_file import read as read_study
from reglab.sweep import spec

FOLDER = Path(__file__).parents[1] / "sweeps"
SWEEPS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_every_study_that_ships_names_sweeps_that_ship_once():
    for study in (FOLDER / "studies").glob("*.yaml"):
        named = read_study(study.stem).stems
        assert len(set(named)) == len(named) and set(named) <= set(SWEEPS), study.name


def test_a_sweep_says_first_what_it_asks_and_how_to_run_it():
    for stem in SWEEPS:
        text = (FOLDER / f"{stem}.yaml").read_text()
        first, *_ = lines = text.splitlines()
        assert "?  (" in first, stem
        assert any(" runs: " in line and line.startswith("# ") for line in lines), stem
        assert f"reglab sweep run sweeps/{stem}.yaml" in text
        assert yaml.safe_load(text)["name"] == stem


def test_a_sweep_s_header_counts_its_runs():
    for stem in SWEEPS:
        path = FOLDER / f"{stem}.yaml"
        said = next(int(line.split()[1]) for line in path.read_text().splitlines() if " runs: " in line)
        sweep = spec.read(path)
        assert said == (len(sweep.grid()) if sweep.method == "grid" else sweep.run_cap), stem


def test_every_grid_has_three_seeds():
    for stem in SWEEPS:
        sweep = spec.read(FOLDER / f"{stem}.yaml")
        if sweep.method == "grid":
            assert {cell["train"]["seed"] for cell in sweep.grid()} == {0, 1, 2}, stem
