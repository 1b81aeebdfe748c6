"""The commands, one file each: arguments, calls, output. What they do lies below the command line."""
