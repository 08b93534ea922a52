"""Spectrum × Objective → Forecast: which latents live at the global optimum, and what would change it."""
