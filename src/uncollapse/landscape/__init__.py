"""The loss around its optimum: stationary points, saddles, slices, and how fast gradient descent leaves them."""
