"""CloudFormation templates: rendering, YAML, intrinsic functions, references, and lint."""
