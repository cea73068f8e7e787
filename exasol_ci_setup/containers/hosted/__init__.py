"""The hosted API deploys apps to this machine over HTTP, each in a container behind nginx."""
