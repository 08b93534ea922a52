"""Why a trained model collapsed: evidence, one cause, and what would change it."""
