"""The container manager: runs containers of configured images on request over HTTP."""
