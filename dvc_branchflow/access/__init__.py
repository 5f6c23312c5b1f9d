"""What roles and users ask of a DVC remote, and the policies that give them just that."""
