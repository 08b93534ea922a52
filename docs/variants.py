"""Variants of the first page's VAE, each with one fault that people have: `python docs/variants.py FOLDER NAME…`.

Of each NAME it writes NAME_vae.py, which trains in seconds to NAME.pth beside x.npy.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["FAULTS", "plant"]

SOURCE = Path(__file__).parent / "my_vae.py"

LOSS = "F.mse_loss(recon, x) + kl.mean()"
ENCODED = "return self.mu(h), self.logvar(h)"
DECODED = "return torch.sigmoid(self.last(torch.relu(self.second(z))))"
SUMMED = 'F.mse_loss(recon, x, reduction="sum") / len(x) + {} * kl.mean()'
LAST = "self.second, self.last = nn.Linear(latents, hidden), nn.Linear(hidden, n_features)"
COARSE = """grid = torch.sigmoid(self.last(torch.relu(self.second(z)))).view(-1, 1, 2, 2)
        return F.interpolate(grid, scale_factor=4).flatten(1)"""

FAULTS: dict[str, dict[str, str]] = {
    "relu": {
        LOSS: "F.mse_loss(recon, x) + 0.0001 * kl.mean()",
        ENCODED: "return torch.relu(self.mu(h)), torch.relu(self.logvar(h))",
    },
    "softplus": {LOSS: SUMMED.format(0.1), ENCODED: "return self.mu(h), F.softplus(self.logvar(h))"},
    "coarse": {
        LOSS: SUMMED.format(0.05),
        DECODED: COARSE,
        LAST: LAST.replace("n_features)", "4)"),
        "range(40)": "range(120)",
    },
}
"""What is written in place of what, by name."""


def plant(folder: Path, name: str) -> Path:
    """Write the variant into a folder and train it there; the weights."""
    text = SOURCE.read_text("utf-8").replace("weights.pth", f"{name}.pth")
    for right, wrong in FAULTS[name].items():
        if right not in text:
            raise ValueError(f"my_vae.py has no {right!r}")
        text = text.replace(right, wrong)
    (folder / f"{name}_vae.py").write_text(text, "utf-8")
    subprocess.run([sys.executable, f"{name}_vae.py"], check=True, cwd=folder)
    return folder / f"{name}.pth"


if __name__ == "__main__":
    for planted in sys.argv[2:]:
        print(plant(Path(sys.argv[1]), planted))
