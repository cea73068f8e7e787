"""How a template becomes a stack: plan, deploy, follow, explain, delete. Every command that changes AWS stands on this."""
