"""What more than one verb needs: reading commits, moving objects, running stages, moving refs."""
