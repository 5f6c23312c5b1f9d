"""Experiments: what a plan may say, and which verdict its data allow."""
