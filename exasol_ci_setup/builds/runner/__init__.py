"""Run the phases of a buildspec in a container on this machine, as CodeBuild does in the cloud."""
