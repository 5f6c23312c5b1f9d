"""The stages of `dvc.yaml`, and what they share."""
