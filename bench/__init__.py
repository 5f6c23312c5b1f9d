"""What branchflow costs beside plain DVC and Git, and beside the least that the job can cost."""
