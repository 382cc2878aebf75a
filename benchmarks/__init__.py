"""Comparisons of this project with its peers, in alternation, as ratios: `make bench`, `make bench QUICK=1`."""
