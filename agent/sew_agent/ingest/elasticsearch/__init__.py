"""Events from Elasticsearch, followed by sequence number and not by time, so that none is missed.

Elasticsearch numbers every write of a shard and tells up to which number all writes are in. A reader keeps a cursor for
each shard, and moves it to such a checkpoint only by a search that began when all writes up to it could be seen. What
decides is pure (`shards`, `cursors`, `clauses`, `judging`, `past`); `source` asks and puts the answers together.
"""
