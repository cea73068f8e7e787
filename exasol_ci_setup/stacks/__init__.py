"""Stack operations: plan, deploy, follow, diagnose and delete. The base of every command that changes AWS."""
