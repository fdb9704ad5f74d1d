"""Where rounds live: the catalog."""
