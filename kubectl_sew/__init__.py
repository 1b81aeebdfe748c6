"""The kubectl plugin, and all that the plugin and the agent share. Below `cli` nothing here does any I/O, but for `kubectl` and `index`."""
