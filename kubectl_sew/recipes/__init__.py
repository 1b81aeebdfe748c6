"""Recipes for receivers that are not consumers: a file of data for each, and `recipe`, which reads, checks and expands
them into plain Generic webhooks. What an answer means and how a body is made is `kubectl_sew.consumers`' business."""
