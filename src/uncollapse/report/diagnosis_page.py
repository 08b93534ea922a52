"""A diagnosis as one HTML file, joined with the forecast's report."""

from __future__ import annotations

from uncollapse.bill.pictures import bill_figure, earning_figure
from uncollapse.bill.prune import IDLE_NATS
from uncollapse.bill.terminal import HEADINGS, bill_rows
from uncollapse.diagnosis import words
from uncollapse.diagnosis.pictures import collapse_figure, latents_figure, residual_figure
from uncollapse.diagnosis.result import Diagnosis
from uncollapse.diagnosis.tables import (
    EVIDENCE_HEADINGS,
    TRIAL_HEADINGS,
    evidence_rows,
    latent_headings,
    latents,
    measured,
    trial_rows,
)
from uncollapse.measure.decoder import kl_weights
from uncollapse.report.page import TABLE_ROWS, forecast_context, plain_figures, rendered

__all__ = ["diagnosis_page"]


def _weight(d: Diagnosis) -> float:
    """β of the lowest level."""
    return float(kl_weights(d.forecast.objective, d.measurement.sums.level_sizes)[0])


def diagnosis_page(d: Diagnosis, source: str) -> str:
    """The whole report as HTML text; every text from outside is escaped.

    Parameters
    ----------
    d : Diagnosis
    source : str
        What the data were called.
    """
    context = forecast_context(d.forecast, None, source, list(d.notes))
    kl = d.measurement.level_kl[0]
    bill = {"bill": bill_figure(d.bill)} if d.bill.lines else {}
    paid = d.bill.earning is not None and bool((kl > IDLE_NATS).any())
    earning = {"earning": earning_figure(d.bill, kl, _weight(d))} if paid else {}
    drawn = {
        **bill,
        **earning,
        "residual": residual_figure(d),
        "latents": latents_figure(d),
        "curve": collapse_figure(d),
    }
    context["data"]["figures"] |= plain_figures(drawn)
    rows, n_levels = latents(d), len(d.measurement.level_kl)
    return rendered(
        "diagnosis.html.j2",
        **context,
        name=d.name,
        diagnosis=d.verdict,
        finding=words.finding(d),
        remedies=[(remedy.change, words.promise(remedy), remedy.why) for remedy in d.remedies],
        trials=trial_rows(d.trials),
        trial_headings=TRIAL_HEADINGS,
        bill=bill_rows(d.bill),
        bill_headings=HEADINGS,
        about_bill=words.about_bill(d) if d.bill.lines else "",
        untried=d.bill.untried,
        earning=bool(earning),
        evidence=evidence_rows(d),
        evidence_headings=EVIDENCE_HEADINGS,
        measured=measured(d),
        latents=[row.cells(n_levels) for row in rows[:TABLE_ROWS]],
        latent_headings=latent_headings(n_levels),
        n_latents=len(rows),
        reading=words.reading(d),
    )
