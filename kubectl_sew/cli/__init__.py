"""The plugin's commands: flags, output and exit codes. What they do is done elsewhere.

`main` loads the program, `program` turns every error into one line and an exit code, `group` finds commands,
`connection` takes kubectl's flags, `output` prints. No rule of the resource, the query language or a consumer belongs
here.
"""
