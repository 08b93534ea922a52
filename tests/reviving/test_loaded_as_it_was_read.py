"""What was inferred when a model was revived need not be said again when it is loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from uncollapse import Objective, SourceError, load_revived, open_weights, revive
from uncollapse.reviving.folder import FACTS

D, K = 6, 3
LOSS = Objective(n_latents=K)


@pytest.fixture
def x(rng):
    return rng.standard_normal((900, 2)) @ (2 * rng.standard_normal((2, D))) + 0.2 * rng.standard_normal((900, D))


class Silent(nn.Module):
    """Dead; nothing but its `forward` says that its encoder gives a log-variance."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.decoder = nn.Linear(D, 2 * K), nn.Linear(K, D)
        for part in (self.first, self.decoder):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)

    def encode(self, x):
        mean, s = self.first(x).chunk(2, 1)
        return mean, s

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x):
        mean, s = self.encode(x)
        return self.decode(mean + torch.randn_like(mean) * torch.exp(0.5 * s)), mean, s


WHOLE = '''
import torch
from torch import nn

class Whole(nn.Module):
    """One network each way, with no `encode` and no `decode`."""
    def __init__(self, d, k):
        super().__init__()
        self.inner, self.outer = nn.Linear(d, 2 * k), nn.Linear(k, d)

    def forward(self, x):
        mu, logvar = self.inner(x).chunk(2, 1)
        return self.outer(mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)), mu, logvar
'''


def test_a_spread_that_was_inferred_is_known_when_the_model_is_loaded(x, tmp_path):
    model = Silent()
    better = revive(model, x, spread="log_variance", objective=LOSS)
    better.write(tmp_path)
    loaded = load_revived(model, tmp_path)
    assert isinstance(loaded, Silent)
    rows = torch.tensor(x[:20], dtype=torch.float32)
    with torch.no_grad():
        reconstruction, mean, _ = loaded(rows)
        np.testing.assert_allclose(loaded.encode(rows)[0], better.probe.encode(x[:20]).mean, atol=1e-4)
    assert reconstruction.shape == (20, D)
    assert float(mean.var()) > 0.1


def test_a_model_whose_halves_were_found_is_loaded_on_the_users_own_module(x, tmp_path):
    (tmp_path / "whole.py").write_text(WHOLE)
    space: dict = {}
    exec(WHOLE, space)
    module = space["Whole"](D, K)
    for part in module.parameters():
        nn.init.zeros_(part)
    torch.save(module.state_dict(), tmp_path / "whole.pth")
    found = open_weights(tmp_path / "whole.pth", str(tmp_path / "whole.py"), x)
    better = revive(found.probe, x, objective=LOSS)
    better.write(tmp_path / "better")
    rows = torch.tensor(x[:20], dtype=torch.float32)
    for given in (module, found):
        loaded = load_revived(given, tmp_path / "better")
        with torch.no_grad():
            np.testing.assert_allclose(loaded.encode(rows)[0], better.probe.encode(x[:20]).mean, atol=1e-4)
            assert loaded(rows)[0].shape == (20, D)


def test_an_older_folder_loads_with_what_is_said(x, tmp_path):
    model = Silent()
    revive(model, x, spread="log_variance", objective=LOSS).write(tmp_path)
    facts = json.loads((tmp_path / FACTS).read_text())
    del facts["how_read"]
    (tmp_path / FACTS).write_text(json.dumps(facts))
    loaded = load_revived(model, tmp_path, spread="log_variance")
    assert loaded(torch.zeros(3, D))[0].shape == (3, D)


@pytest.mark.parametrize("halves", [{"encoding": "encode"}, ["encode"]])
def test_a_damaged_reading_is_one_line(x, tmp_path, halves):
    model = Silent()
    revive(model, x, spread="log_variance", objective=LOSS).write(tmp_path)
    facts = json.loads((tmp_path / FACTS).read_text())
    facts["how_read"]["halves"] = halves
    (tmp_path / FACTS).write_text(json.dumps(facts))
    with pytest.raises(SourceError, match="damaged revived model: how it was read"):
        load_revived(model, tmp_path)
