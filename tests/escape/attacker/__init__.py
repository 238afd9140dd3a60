"""What the attacker runs inside the sandbox. Standard library only: it is written into the workspace and run there."""
