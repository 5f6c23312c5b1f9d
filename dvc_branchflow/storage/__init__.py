"""What an admin does with the DVC remotes of many branches: a verb a file."""
