"""The container manager: containers of a configuration file's images, on request over HTTP."""
