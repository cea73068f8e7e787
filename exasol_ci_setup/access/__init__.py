"""What IAM policies allow, and what a change broadens."""
