"""A forecast for deep networks: the user's network, trained to its end over a grid of water levels."""
