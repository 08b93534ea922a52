"""Closed-form optima as scikit-learn estimators: thin shells."""
