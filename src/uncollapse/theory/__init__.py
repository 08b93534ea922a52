"""The mathematics: pure functions of arrays, each with the equation it implements."""
