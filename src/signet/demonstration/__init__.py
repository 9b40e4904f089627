"""The demo: the main job on data that comes with the installation, in a minute, without a network."""
