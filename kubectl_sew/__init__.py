"""The kubectl plugin, and all that the plugin and the agent share.

Only `cli`, `kubectl` and `elasticsearch` do any I/O.
"""

__version__ = "0.1.0"
