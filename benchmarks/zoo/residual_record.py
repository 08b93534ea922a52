"""The residual test's own record: does 'should live' mean that a warm restart or warm-up helps, 'rightly dead' not?

`python benchmarks/zoo/residual_record.py [SEED]`: deep VAEs on six sets, three networks, three water levels, four
lengths of training. Those with a dead latent are judged at their end, and then (a) trained on with the KL taken back
to 0 and raised again, (b) trained anew with a KL warm-up, (c) trained on plainly, each for as long as before and at
least 40 epochs. A latent helped if more are alive after (a) or (b) and the loss on held-out rows is lower by two
standard errors of the paired differences.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np
from ensembles import LATENTS, NETWORKS, anew, go_on, grid, started
from judge import write_rows
from sets import Data, load

from uncollapse import forecast
from uncollapse.bill.line import Bill
from uncollapse.diagnosis.data_fit import DataFit
from uncollapse.diagnosis.facts import Facts
from uncollapse.diagnosis.leads import leads_of
from uncollapse.measure.baseline import baseline_losses, collapsed_losses
from uncollapse.measure.decoder import measure_decoder
from uncollapse.measure.observe import observe
from uncollapse.probes.own import own_probe
from uncollapse.training import Trained

LEVELS = (0.08, 0.25, 0.6)
LENGTHS = ((40, False), (120, False), (200, False), (120, True))
LEAST = 40
HELD_OUT = 1000


def main() -> None:
    """Train, judge, try, and write results/residual[SEED].csv and the models' own numbers beside the forecast's."""
    warnings.simplefilter("ignore")
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    started_at, judged, all_models = time.process_time(), [], []
    for name in LATENTS:
        tried, models = one_set(load(name, seed), seed)
        judged += tried
        all_models += models
        print(
            f"{name}: {len(tried)} with a dead latent, {time.process_time() - started_at:.0f} s of processor",
            flush=True,
        )
        write_rows(f"residual-{seed}.csv", judged)
        write_rows(f"models-{seed}.csv", all_models)


def one_set(
    data: Data, seed: int, levels: tuple[float, ...] = LEVELS, lengths: tuple[tuple[int, bool], ...] = LENGTHS,
    least: int = LEAST, nets: tuple[str, ...] = (),
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """Rows of the models with a dead latent, tried; and rows of all models, beside the forecast."""
    models = started(grid(data, levels, lengths, seed, nets), data)
    all_facts = [facts_of(model, data) for model in models]
    rows = [_about(m, f, data) for m, f in zip(models, all_facts, strict=True)]
    dead = [i for i, f in enumerate(all_facts) if f.n_dead]
    chosen = [models[i] for i in dead]
    after = {
        "restart": go_on(chosen, data, least, warm=True),
        "anew": anew(chosen, data, least),
        "plain": go_on(chosen, data, least, warm=False),
    }
    tried = [
        {**rows[i], **_verdict(all_facts[i]), **_outcome(models[i], {k: v[j] for k, v in after.items()}, data)}
        for j, i in enumerate(dead)
    ]
    return tried, rows


def facts_of(model: Trained, data: Data) -> Facts:
    """The model on the rows that it was trained on, beside the forecast."""
    probe = own_probe(model)
    x = data.x[:2048]
    seen = observe(probe, x)
    objective = model.setup.objective
    expected = forecast(x, objective=objective)
    decoder = measure_decoder(probe, seen, objective)
    rows = np.asarray(seen.x, dtype=np.float64)
    baseline, collapsed = baseline_losses(expected, rows, rows), collapsed_losses(expected, rows)
    leads = leads_of(expected, seen.measurement.n_latents)
    nothing = Bill((), (), (), None, None)  # the residual alone is judged here
    return Facts(seen.measurement, decoder, expected, baseline, float(collapsed.mean()), leads, DataFit(1.0), nothing)


def _about(model: Trained, f: Facts, data: Data) -> dict[str, Any]:
    network, training = model.setup.network, model.setup.training
    net = next(name for name, known in NETWORKS.items() if known == network)
    return {
        "data": data.name,
        "net": net,
        "level": f.forecast.objective.beta / float(data.strengths()[0]),
        "epochs": training.epochs,
        "warm_up": training.schedule.kind != "constant",
        "falling": _falling(model, f),
        "latents": f.n_latents,
        "alive": f.n_alive,
        "linear_alive": f.forecast.n_alive,
        "kl": f.measurement.rate,
        "linear_kl": float(f.forecast.curves([f.forecast.objective.beta]).rate[0]),
        "loss": f.decoder.loss,
        "floor": float(f.baseline.mean()),
        "collapsed": f.collapsed,
    }


def _falling(model: Trained, f: Facts) -> float:
    """Fall of the loss over the last quarter of the training, as a share of what there is to gain over collapse."""
    losses = model.history["loss"]
    part = max(len(losses) // 8, 1)
    before = losses[-3 * part : -2 * part].mean() if len(losses) >= 3 * part else losses[0]
    return float((before - losses[-part:].mean()) / max(f.attainable, f.scale, 1e-9))


def _verdict(f: Facts) -> dict[str, Any]:
    said = "should live" if f.should_live else "rightly dead" if f.settled else "undecided"
    residual = f.decoder.residual
    return {"said": said, "top": residual.top / f.water_level, "most": residual.most / f.water_level,
            "error": residual.error / f.water_level, "n_above": residual.n_above(f.water_level)}  # fmt: skip


def _outcome(model: Trained, after: dict[str, Trained], data: Data) -> dict[str, Any]:
    x = data.held_out[:HELD_OUT]
    alive, losses = held_out(model, x)
    outcome: dict[str, Any] = {"held_out_alive": alive}
    helped = False
    for name, other in after.items():
        n, again = held_out(other, x)
        gains = losses - again
        gain, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
        outcome |= {f"{name}_alive": n, f"{name}_gain": gain, f"{name}_error": error}
        helped |= name != "plain" and n > alive and gain > 2 * error
    return {**outcome, "helped": helped}


def held_out(model: Trained, x: np.ndarray) -> tuple[int, np.ndarray]:
    """Latents alive and loss of each row, on rows that no training saw; the draws of z are the same for all models."""
    probe = own_probe(model)
    seen = observe(probe, x)
    return seen.measurement.n_alive, measure_decoder(probe, seen, model.setup.objective, seed=1).losses


if __name__ == "__main__":
    main()
