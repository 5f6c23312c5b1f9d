"""Estimates and their uncertainty: pure functions on numbers and arrays."""
