"""The roles' rules: pure functions over what commits hold, which return violations as data."""
