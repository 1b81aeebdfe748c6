"""Events from Elasticsearch, followed by sequence number and not by time, so that none is missed.

Elasticsearch numbers every write of a shard and reports up to which number all writes are in. A reader keeps a cursor
for each shard, and moves it to such a checkpoint only by a search that began when all writes up to it were visible.
All decisions are pure (`shards`, `cursors`, `visibility`, `named_queries`, `new_hits`, `backfill_cursor`); `tail` and
`backfill` ask, and `source` is the event source over both.
"""
