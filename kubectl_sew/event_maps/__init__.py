"""Maps of events that are not Calico's: a file of data for each kind; `event_map`, which reads and checks such files;
and `readable`, which fills in Calico's fields by them. What a message looks like is `kubectl_sew.consumers`' business,
and what a query selects is not decided here."""
