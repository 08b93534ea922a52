"""Survivors of `make mutants` → docs/mutants.md: `python benchmarks/mutants.py`, in the folder where mutmut ran."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "mutants.md"
MUTMUT = Path(sys.executable).with_name("mutmut")

SAME = (
    (r"optimize=|yy, directions, \)", "the order of a product"),
    (r"b = (1|2) [/*] np\.where|b\[low\] |at_least: np\.ndarray|log_mean_exp\(some, 2", "only where a search starts"),
    (r"log_mean_exp\(some, 1 / b\)\[0\] <", "only where a search starts"),
    (r"TOLERANCE / b|np\.abs\(step\) < TOLERANCE", "only where a search ends"),
    (r"ratios\.max\(axis=0\) >= 0|ratios\.mean\(axis=0\) <= 0", "only a tie differs"),
    (r"np\.where\(over, r, 1\.0\)", "a value that the outer choice drops"),
    (r"astype\(None\)", "None is float64"),
    (r"- 1e-12 \* np\.eye", "only the size of a slack for rounding"),
    (r"einsum\(", "the letters of einsum may be any"),
    (r"max\(modes\.strengths\[1\]", "only how many steps are made"),
    (r"escaped\.direction, escaped\.terminal = 1\.0, len", "the integration goes on behind the escape, which stays"),
    (r"took_fixed = |corner, last = ", "false and 0 are the same here"),
    (r"left >= 0\) & \(room", "at 0 both give the same"),
    (r"start\[0\] \* start\[1\] > half", "only a tie differs"),
    (r"lives\(strengths, None, tau\)", "modes on latents too wide for them lie in order of width already"),
    (r"LEAST_STEP (/|\*) np\.abs", "only the first step of a search"),
    (r"np\.where\(None, 1\.0, signs\)", "the sign of a column of zeros"),
    (r"norm\(yy, (None)?\)|yy\.size else 1\.0", "only the size of a slack for rounding"),
    (r"4 \* a \* b, 1\.0", "a value that the outer choice drops"),
    (r"dimensions \+ 1\) \+ 1", "0 over 0 warns: warnings are errors in the whole suite, not here"),
    (r"max\(len\(a\), 2\)", "one row less its mean is 0"),
    (r"a\.any\(\) or b", "directions of strength 0 are any"),
    (r"back\[::-1\]\)\.max\(axis=None", "the start is the same for every β: slope and offsets both hold log β"),
    (r"min\(a\.shape\) \+ 1\), v0", "never the smaller of the two"),
    (r"^\)?$", "another integrator or tolerance, the same path"),
    (r"dtype=None", "the numbers are floats already"),
    (r"np\.zeros\([^)]*, \)|asarray\([^)]*, \)|np\.array\(drawn, \)", "the numbers are floats already"),
    (r"np\.finfo\(None\)", "None is float64"),
    (r"strict=(None|False)", "the lengths are equal"),
    (r"last\), \), 1\)", "the lengths are equal"),
    (r"last \+ 1\], \)", "the lengths are equal"),
    (r"errstate", "the state that is left out is not met at these values, or is NumPy's default"),
    (r"compute_uv=None", "the same choice for NumPy"),
    (r"full_matrices=None", "the same choice for NumPy"),
    (r"float\(\"INF\"\)", "the same to Python or NumPy"),
    (r"reshape\(-2", "the same to Python or NumPy"),
    (r"[*/] (signs|np.where.signs)", "a sign: to multiply is to divide"),
    (r"np\.where\([^,]*, [^,]*, 2\.0\)", "a value that the outer choice drops"),
    (r", 2\.0\)\), np\.inf", "a value that the outer choice drops"),
    (r"np\.where\(alive, variance, 2", "a value that the outer choice drops"),
    (r"is not None\)? or True", "the other branch gives the same"),
    (r"\) or True ", "the other branch gives the same"),
    (r"minlength=k \+ 2", "the last count is cut off again"),
    (r">= (point|SLACK|RESIDUAL|tolerance|1 . SLACK|mean . SLACK)|<= -SLACK|< edges", "only a tie differs"),
    (r"excess >= SLACK", "only a tie differs"),
    (r"with_fixed >= with_learned", "only a tie differs"),
    (r"errors\.max\(\) <", "only a tie differs"),
    (r"SLACK \* \(2 \+", "only the size of a slack for rounding"),
    (r"SLACK / \(1 \+", "only the size of a slack for rounding"),
    (r"\(a \+ b\) (\* 2|/ 3)", "directions do not depend on scale or start, and are put in order"),
    (r"default_rng\(1\)", "directions do not depend on scale or start, and are put in order"),
    (r"::\+1\]", "directions do not depend on scale or start, and are put in order"),
    (r"axis=None\), b - b", "the other factor is centred: an offset drops out"),
    (r"b - b\.mean\(axis=None\)", "the other factor is centred: an offset drops out"),
    (r"residual\[~held\] \+ middle", "the other factor is centred: an offset drops out"),
    (r"n_draws % 2 if i (!= 0|== 1)", "only the product of the two divisors counts"),
    (r"np\.clip\(", "values beyond the ends are set to 0 anyway"),
    (r"variance >= 0\) &", "at 0 both give the same"),
    (r"where\(variance >= 0", "at 0 both give the same"),
    (r"alpha\) >= 0", "at 0 both give the same"),
    (r"strengths >= 0", "at 0 both give the same"),
    (r"p >= 0", "at 0 both give the same"),
    (r"s >= 0", "at 0 both give the same"),
    (r"sign < 0", "at 0 both give the same"),
    (r"max\(values\[-1\], 1\.0\)", "the largest eigenvalue of a correlation matrix is 1 or more"),
    (r"strengths\[0\] < 0", "at 0 both give the same"),
    (r"^unit = (None|2\.0)", "overwritten in the first pass"),
    (r"unit = max\(", "a unit that is divided out again: it only keeps squares from overflowing"),
    (r"or 2\.0", "a unit that is divided out again: it only keeps squares from overflowing"),
    (r"= \+strengths", "a sign of one factor: the eigenvalues are the same"),
    (r"block\[:, (0|1), 2\] = block", "the eigenvalues are read from the lower triangle"),
    (r"escaped\.direction = 2", "only the sign and truth count"),
    (r"escaped\.direction, escaped\.terminal = (2|1)", "only the sign and truth count"),
    (r"np\.empty\((None|1)\)", "an integration with an event always has a list of its times"),
    (r"where\(used == 0, 1\.0", "a constant added to every sum"),
    (r"range\(3\):", "once more changes nothing beyond rounding"),
    (r"np\.reshape\(counts, None", "the counts have that shape unless there is no latent"),
    (r"np\.sort\(kl\.T, (axis=-1|\))", "the last axis is the one"),
    (r"for column in columns\], (None|\))", "the counts have that shape unless there is no latent"),
    (r"<= 1e-3|>= 1e-6", "only a tie differs"),
    (r"zeros_like\(None\)", "a zero of another kind, the same sums"),
)
"""Changes that cannot be told from the code, by what they change, and why."""


def main() -> None:
    """Count and list."""
    done = subprocess.run([MUTMUT, "results", "--all", "true"], capture_output=True, text=True, check=True).stdout
    verdicts = re.findall(r"^\s*uncollapse\.theory\.(\w+)\.(\S+): (\w[\w ]*)$", done, flags=re.MULTILINE)
    counts = Counter((module, kind) for module, _, kind in verdicts)
    modules = sorted({module for module, _, _ in verdicts})
    lines = [
        f"| `theory/{m}.py` | {sum(n for (k, _), n in counts.items() if k == m)} | {counts[m, 'killed']} |"
        f" {sum(n for (k, s), n in counts.items() if k == m and s != 'killed')} |"
        for m in modules
    ]
    left = [(module, name) for module, name, kind in verdicts if kind != "killed"]
    rows = [change(module, name) for module, name in left]
    same = sum(why != "" for *_, why in rows)
    killed, total = sum(n for (_, k), n in counts.items() if k == "killed"), len(verdicts)
    PAGE.write_text(
        HEAD.format(total=total, killed=killed, share=killed / total, same=same, open=len(rows) - same,
                    of_the_rest=killed / (total - same))
        + "\n".join(lines)
        + "\n\n## Those that lived\n\n| module | the line | becomes | why |\n|---|---|---|---|\n"
        + "\n".join(f"| `{m}` | {cell(old)} | {cell(new)} | {why or 'not killed yet'} |" for m, old, new, why in rows)
        + "\n",
        encoding="utf-8",
    )  # fmt: skip
    print(f"{killed} of {total} killed, {same} of the others cannot be told from the code")


def change(module: str, name: str) -> tuple[str, str, str, str]:
    """Module, the line before and after, and why no test can see it, or ""."""
    shown = subprocess.run(
        [MUTMUT, "show", f"uncollapse.theory.{module}.{name}"], capture_output=True, text=True, check=True
    ).stdout
    old = " ".join(line[1:].strip() for line in shown.splitlines() if re.match(r"-[^-]", line))
    new = " ".join(line[1:].strip() for line in shown.splitlines() if re.match(r"\+[^+]", line))
    return module, old, new, next((why for pattern, why in SAME if re.search(pattern, new)), "")


def cell(code: str) -> str:
    """Code in a cell of a table."""
    return f"`{code[:110]}`".replace("|", "\\|") if code else ""


HEAD = """# Mutants of the formulas

`make mutants` changes every operator, comparison, number and argument of `theory/` in turn, {total:,} changes in all,
and runs the fast tests of `tests/theory` against each. **{killed:,} are killed ({share:.1%}).** Of the others, {same}
cannot be told from the code by any test, for the reason in the table; {open} could be and are not killed yet. Without
those that cannot be told, {of_the_rest:.1%} are killed. `python benchmarks/mutants.py` writes this page.

| module | changes | killed | lived |
|---|---|---|---|
"""

if __name__ == "__main__":
    main()
