"""The scripts of this branch's stages."""
