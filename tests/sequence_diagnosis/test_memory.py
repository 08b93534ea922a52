"""A decoder under many masks is measured in batches that its vocabulary allows."""

from __future__ import annotations

import numpy as np

from uncollapse.injecting import decoder as module
from uncollapse.injecting.measure import injection_spectrum
from uncollapse.sequence_diagnosis.masked import N_MASKS, Masked
from uncollapse.sequences import decoder_named


def test_the_logits_of_a_batch_under_masks_stay_within_their_bound(rng, monkeypatch):
    n_vocabulary, length, bound = 300, 7, 2**16
    monkeypatch.setattr(module, "BATCH_NUMBERS", bound)
    sizes = []

    class Watched(Masked):
        def forward(self, tokens):
            steps = super().forward(tokens)
            sizes.append(steps.logits.numel())
            return steps

    x = rng.integers(0, n_vocabulary, (40, length))
    found = injection_spectrum(
        Watched(decoder_named("window:1", n_vocabulary, width=4), 0.5), x, inject="decoder.inject", n_draws=1
    )
    assert np.isfinite(found.critical_beta)
    one = N_MASKS * length * n_vocabulary
    rows = np.array(sizes[4:]) // one  # the first few try the decoder on some sequences
    assert rows.max() == bound // one
