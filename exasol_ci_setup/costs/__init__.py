"""Cost estimates of templates, from the AWS price list."""
