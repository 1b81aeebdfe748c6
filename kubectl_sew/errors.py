"""The root of our exceptions, and the tree of them.

SewError                              whatever a user can cause: printed as `error: …`, never as a traceback
├── query.errors.QueryError           a query that cannot be read or answered: place, caret, hint
├── consumers.base.RenderError        an event that cannot be rendered for its receiver
├── recipes.recipe.RecipeError        a recipe that cannot be used as it is asked to be
├── event_maps.event_map.EventMapError  a map of events that cannot be used
├── elasticsearch.access.ElasticsearchError  the index cannot be asked now
├── kubectl.KubectlError              kubectl, or the server behind it, refused
├── cluster.agent.AgentError          no agent can be asked
├── cli.commands.handover.HandoverError  webhooks cannot change hands: nobody would deliver them
├── install.target.InstallError       nothing can be installed as it was asked for
├── sew_agent.base.settings.SettingsError     a flag or an environment variable that cannot be used
├── sew_agent.base.threads.NoThreadError      the system gives no more threads
├── sew_agent.delivery.dispatcher.DispatcherError  the thread that delivers has ended
├── sew_agent.delivery.http.errors.SendError  a receiver gave no answer
├── sew_agent.ingest.source.SourceError       events cannot be read now
├── sew_agent.store.records.StoreError        the store cannot be used
│   ├── sew_agent.store.records.StoreAwayError    it may be reached later
│   ├── sew_agent.store.records.StoreFullError    its disk is full: nothing was written
│   └── sew_agent.store.records.StoreHeldError    another agent has it
└── sew_agent.kubernetes.client.ApiError      the API server refused, or was not reached
    ├── sew_agent.kubernetes.client.InvalidError    it refuses the object
    ├── sew_agent.kubernetes.client.ForbiddenError  it refuses the agent
    │   └── sew_agent.kubernetes.client.UnauthorizedError    it does not accept its credential
    ├── sew_agent.kubernetes.client.NotFoundError   there is no such object
    ├── sew_agent.kubernetes.client.ConflictError   somebody else wrote it
    ├── sew_agent.kubernetes.client.GoneError       its history does not reach back so far: list again
    └── sew_agent.kubernetes.paths.NotServedError   it serves no such kind, and need not
"""


class SewError(Exception):
    """An error for a person: what is wrong, where, why, and what to do. Its text never holds a secret."""

    exit_code = 1
    """The exit code of a program that ends with this error."""

    def render(self) -> str:
        """The error for a terminal: of one line or more, at most 2,000 characters."""
        return str(self)
