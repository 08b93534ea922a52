"""A trained model → Measurement: its posteriors, what the decoder makes of them, and what counts as alive."""
