"""Experiments on what production saw: planned before the data, assigned, reported."""
