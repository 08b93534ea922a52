"""How results show themselves: a line, text for a terminal, a little HTML, plain values, and figures."""
