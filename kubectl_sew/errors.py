"""The root of our exceptions.

SewError                        whatever a user can cause: printed as `error: …`, never as a traceback
├── query.QueryError            a query that cannot be read or answered: place, caret, hint
├── consumers.base.RenderError  an event that cannot be rendered for its receiver
├── sew_agent.base.settings.SettingsError  a flag or an environment variable that cannot be used
├── sew_agent.kubernetes.client.ApiError    the API server refused, or was not reached
│   ├── InvalidError, ForbiddenError        it refuses the object; it refuses the agent
│   ├── NotFoundError, ConflictError        there is no such object; somebody else wrote it
│   └── GoneError                           its history does not reach back so far: list again
├── sew_agent.store.records.StoreError   the state folder cannot be used
├── sew_agent.ingest.source.SourceError  events cannot be read now
└── sew_agent.base.threads.NoThreadError   the system gives no more threads
"""


class SewError(Exception):
    """An error for a person: what is wrong, where, why, and what to do. Its text never holds a secret."""

    exit_code = 1
    """The exit code of a program that ends with this error."""

    def render(self) -> str:
        """The error for a terminal: of one line or more, at most 2,000 characters."""
        return str(self)
