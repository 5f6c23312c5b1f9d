"""The commands `git branchflow` and, for Git's hooks, `git-branchflow-hook`."""
