"""The dashboard of `kubectl sew dashboard`: pages on loopback, for one person, with that person's own rights.

Facts come from a `Reach` (a cluster by kubectl, or an agent's state folder by its own commands), by the functions that
the commands use. `views` makes of them what a page shows, pure; `actions` are what a page can do; `gate` decides who is
let in; `web` answers requests. It stands above `kubectl_sew.cli`, which loads its command by name alone. No rule about
webhooks, queries or deliveries may enter here: those are the commands' own.
"""
