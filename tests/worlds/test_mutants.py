"""The planted bugs apply to the package. Whether the worlds find them is tested by `python -m tests.worlds.mutants`."""

import ast
import shutil

import pytest

from tests.worlds.mutants.__main__ import ROOT, Search, row
from tests.worlds.mutants.patches import FOLDER, DoesNotApply, Mutant, mutants

MUTANTS = mutants()


def copied_files(mutant, folder):
    """Copy the files that a patch changes, and return their paths."""
    files = {hunk.file for hunk in mutant.hunks}
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, folder / file)
    return files


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_patch_applies_and_the_result_is_another_program(mutant, tmp_path):
    files = copied_files(mutant, tmp_path)
    mutant.apply(tmp_path)
    assert files
    for file in files:
        assert file.startswith("agora_analytics/")
        before, after = ((root / file).read_text("utf-8") for root in (ROOT, tmp_path))
        assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(before))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_description_has_two_sentences(mutant):
    assert mutant.description.endswith(".")
    assert mutant.expected.endswith(".")


def test_bugs_are_planted_in_every_part():
    parts = [{hunk.file.split("/")[1] for hunk in mutant.hunks} for mutant in MUTANTS]
    assert len(MUTANTS) >= 20
    assert all(sum(part in each for each in parts) >= 6 for part in ("engine", "harvest", "store"))


def test_patch_of_lines_that_changed_is_refused(tmp_path):
    mutant = Mutant.read(FOLDER / "no-guard-at-midnight.patch")
    (file,) = copied_files(mutant, tmp_path)
    (tmp_path / file).write_text(
        (tmp_path / file).read_text("utf-8").replace("(1.0, 0.5)", "(1.5, 0.5)", 1), "utf-8"
    )
    with pytest.raises(DoesNotApply, match=file):
        mutant.apply(tmp_path)


def test_patch_of_lines_that_moved_applies(tmp_path):
    mutant = Mutant.read(FOLDER / "no-guard-at-midnight.patch")
    (file,) = copied_files(mutant, tmp_path)
    text = (tmp_path / file).read_text("utf-8")
    (tmp_path / file).write_text("# another line\n" * 3 + text, "utf-8")
    mutant.apply(tmp_path)
    assert (tmp_path / file).read_text("utf-8").count("_MIDNIGHT_GUARD = (0.0, 0.0)") == 1


@pytest.mark.parametrize(
    "text", ["one line\n\ndiff --git a/x b/x\n", "two\nlines\n", "three\nlines\nhere\n\ndiff --git a/x b/x\n"]
)
def test_patch_without_two_lines_of_text_is_refused(text, tmp_path):
    (tmp_path / "x.patch").write_text(text)
    with pytest.raises(ValueError, match=r"x\.patch"):
        Mutant.read(tmp_path / "x.patch")


def test_violation_in_the_output_of_worlds_is_a_found_bug():
    result = Search(worlds=200)
    result._read("seed 207: a sample is stored twice\n8 worlds, 1 violation\nCPU seconds: 1.5\n", 200, 100)
    assert (result.worlds, result.found, result.cpu_seconds) == (208, "a sample is stored twice", 1.5)


def test_worlds_without_a_violation_are_counted():
    result = Search(worlds=200)
    result._read("100 worlds, no violation\nCPU seconds: 2.5\n", 200, 100)
    assert (result.worlds, result.found) == (300, "")
    assert "not found in 300" in row("x", result, 1)


def test_worlds_that_take_too_long_are_a_found_bug(tmp_path):
    result = Search()
    result.run_batch(tmp_path, 0, 10, timeout=0)
    assert result.found.startswith("does not end")


def test_worlds_of_another_copy_of_the_package_are_refused(tmp_path):
    """The folder has no package, so Python finds the installed one, if any."""
    shutil.copytree(FOLDER, tmp_path / "tests/worlds/mutants")
    result = Search()
    result.run_batch(tmp_path, 0, 10, timeout=60)
    assert (result.found, "agora_analytics" in result.problem) == ("", True)
