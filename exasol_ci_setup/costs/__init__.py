"""What a template costs: what each of its resources is billed by, at the prices of AWS's price list."""
