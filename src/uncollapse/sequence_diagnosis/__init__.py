"""A trained VAE of sequences: which of its latents live, why the others do not, and what to change."""
