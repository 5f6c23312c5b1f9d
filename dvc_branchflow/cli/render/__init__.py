"""One renderer for each verb's value: what the user reads on stdout."""
