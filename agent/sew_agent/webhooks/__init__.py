"""Sources of SecurityEventWebhooks, and what a change of them means; nothing here sends."""
