"""The kubectl plugin, and all that the plugin and the agent share.

Only `cli`, `kubectl` and `index` do any I/O.
"""

__version__ = "0.1.0"
